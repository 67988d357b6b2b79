"""Results of trials that were never run, for tests of what keeps them; and a metric of all queries of a trial."""

from dataclasses import replace

import numpy as np

from icl_claims.experiments.result import Entry, TrialResult, packed_result
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics import SetMetric

GROUPS = ("log_probabilities", "content_free", "by_layer", "over_queries", "gradient_norms", "drift")
SPREAD = SetMetric(
    name="spread",
    title="spread",
    definition="Variance over queries.",
    values=lambda outputs: outputs.transpose(0, 1),
    takes=lambda found: {"outputs": found.answer.attention_outputs},
    compares=False,
    over=lambda features: features.var(axis=0).sum(axis=-1),
)
SPEC = TrialSpec("model", "data", "sst2", 3, 0, 0, None, (Finetuning(0.1), LayerCausal(0.1)), code="code")


def made_up_result(seed=0, rows=4, **spec):
    """A result whose numbers follow from a seed."""
    draw = np.random.default_rng(seed).normal
    methods = ("zero_shot", "in_context", "finetuning")
    return TrialResult(
        spec=replace(SPEC, seed=seed, **spec),
        query_rows=np.arange(rows),
        gold=np.arange(rows) % 2,
        log_probabilities={name: draw(size=(rows, 2)) for name in methods},
        content_free={name: draw(size=(0, 2)) for name in methods},
        by_layer={
            Entry("lens_loss", "zero_shot"): draw(size=(rows, 3)),
            Entry("sim_aou", "finetuning"): draw(size=(rows, 3)).astype(np.float32),
        },
        gradient_norms={"finetuning": draw(size=(3, 3))},
        drift={"finetuning": draw(size=3)},
        losses={"finetuning": [0.1, 1e-300, float(draw())]},
        failures={"layer_causal": "diverged"},
        seconds={"metrics": 0.25},
        provenance={"model": "made up", "notes": ["é"]},
    )


def made_up_content(seed=0, **spec):
    """The same as a store holds it: facts and arrays, the record of the specification changed as given."""
    result = made_up_result(seed)
    facts, arrays = packed_result(result.spec, result)
    return {**facts, "spec": facts["spec"] | spec}, arrays


def get_or_run(store, key, run):
    """The content of a key, made now if it is not cached; other processes wait for it meanwhile."""
    if (whole := store.read(key)) is not None:
        return whole
    with store.locked(key, wait=True):
        if (known := store.get(key)) is not None:
            return known
        store.put(key, made := run())
        return made


def assert_same_arrays(mine, theirs):
    """Arrays of the same names, types and shapes, to the last bit, in the same order."""
    assert list(mine) == list(theirs)
    assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)
    assert all((mine[name].dtype, mine[name].shape) == (theirs[name].dtype, theirs[name].shape) for name in mine)


def assert_same_content(one, other):
    """Two contents of a store are the same to the last bit."""
    assert one[0] == other[0]
    assert_same_arrays(one[1], other[1])


def assert_same_result(one, other):
    """Two results are the same to the last bit, in the same order."""
    for group in GROUPS:
        assert_same_arrays(getattr(one, group), getattr(other, group))
    for rows in ("query_rows", "gold"):
        assert np.array_equal(getattr(one, rows), getattr(other, rows))
    for plain_data in ("spec", "losses", "failures", "seconds", "provenance"):
        assert getattr(one, plain_data) == getattr(other, plain_data)
