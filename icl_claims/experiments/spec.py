"""What a trial is: a frozen specification, from which its numbers follow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from icl_claims.errors import UsageError
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics.calibration import Calibration
from icl_claims.metrics.predictions import Agreement
from icl_claims.metrics.similarity import RandomBaseline
from icl_claims.tasks.prompts import ProbePosition

ComparedMethod = Finetuning | LayerCausal
"""A method that is compared with in-context learning; zero-shot and in-context learning are in every trial."""

CODE_THAT_MAKES_NUMBERS = (
    *("metrics/*.py", "tasks/*.py", "models/*.py", "methods/*.py"),
    *("experiments/batches.py", "experiments/trial.py"),
)


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides the numbers of a trial.

    Args:
        model: digest of the model.
        data: digest of the task's examples.
        task: name of the task.
        k: number of demonstrations drawn.
        seed: of the draw of demonstrations, and of the random baseline.
        permutation: of the demonstrations; 0 leaves their order.
        queries: how many queries are asked at most; None for 2000.
        methods: what is compared with in-context learning.
        dtype: of the model.
        probe: where attention is looked at.
        calibration: of the predicted labels.
        fillers: what stands in the content-free queries of contextual calibration (Zhao et al. 2021, section 5).
        random_baseline: what is drawn for the random SimAOU.
        agreement: when two prediction changes agree.
        code: digest of the code that makes the numbers.

    Raises:
        UsageError: contextual calibration without a filler.
    """

    model: str
    data: str
    task: str
    k: int
    seed: int
    permutation: int
    queries: int | None
    methods: tuple[ComparedMethod, ...]
    dtype: str = "float32"
    probe: ProbePosition = "label_token"
    calibration: Calibration = "none"
    fillers: tuple[str, ...] = ("N/A", "[MASK]", "")
    random_baseline: RandomBaseline = "update"
    agreement: Agreement = "same_label"
    code: str = ""

    def __post_init__(self) -> None:
        if self.calibration == "contextual" and not self.fillers:
            raise UsageError("Contextual calibration", expected="at least one filler", got="none")

    def record(self) -> dict[str, Any]:
        """The specification as plain data, the same before and after it was written as JSON."""
        methods = [{"kind": type(method).__name__, **asdict(method)} for method in self.methods]
        return {**asdict(self), "methods": methods, "fillers": list(self.fillers)}

    def key(self) -> str:
        """SHA-256 of the specification: two trials with one key have the same numbers."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True).encode()).hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 over the source that makes a trial's numbers."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for pattern in CODE_THAT_MAKES_NUMBERS:
        for path in sorted(package.glob(pattern)):
            digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
