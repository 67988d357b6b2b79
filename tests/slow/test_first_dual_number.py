"""A process that makes its first dual number when it answers with what another learned hears no warning of torch's."""

from __future__ import annotations

import subprocess
import sys
import textwrap

CODE = textwrap.dedent(
    """
    import pickle, sys, warnings
    from icl_claims.experiments.progress import packed, unpacked
    from icl_claims.methods import Linearized
    from icl_claims.models.random_models import random_model
    from icl_claims.tasks.prompts import Demonstrations, Queries

    model = random_model("llama", 1, 0)
    warnings.simplefilter("error")
    with open(sys.argv[1], sys.argv[2]) as file:
        if sys.argv[2] == "wb":
            pickle.dump(packed(Linearized(0.1).learn(model, Demonstrations.from_rows(0, 2, ((4, 5, 6),)))), file)
        else:
            unpacked(*pickle.load(file), model).answer(Queries(((20, 21, 22, 30),), (30, 31), -2, -1))
    """
)


def test_an_answer_with_what_another_process_learned_warns_of_nothing(tmp_path):
    for mode in ("wb", "rb"):
        command = [sys.executable, "-c", CODE, str(tmp_path / "learned"), mode]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
