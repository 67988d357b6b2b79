"""What a trial is: a frozen specification, from which its numbers follow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from icl_claims.errors import UsageError
from icl_claims.methods import Method, Paraphrased
from icl_claims.models.untrained import Kept
from icl_claims.protocol import Agreement, Calibration, Order, ProbePosition, RandomBaseline, Truncation

AttentionMapSimilarity = Literal["direct", "update"]
"""SimAM of the scores (both papers' tables), or of their change (the authors' later code)."""

CODE_THAT_MAKES_NUMBERS = (
    *("metrics/*.py", "tasks/*.py", "models/*.py", "methods/*.py", "statistics/rank.py"),
    *(f"experiments/{room}.py" for room in ("batches", "learned_arrays", "measure", "resume", "spill", "trial")),
)


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides the numbers of a trial.

    Args:
        model: digest of the model.
        data: digest of the task's examples.
        task: name of the task.
        k: number of demonstrations drawn.
        seed: of the draw of demonstrations, of untrained weights, and of the random controls.
        permutation: of the demonstrations; 0 leaves their order.
        queries: how many queries are asked at most; None for 2000.
        methods: what is compared with in-context learning; zero-shot and in-context learning are in every trial.
        weights: `trained`, or what an untrained model keeps of the trained one.
        dtype: of the model.
        probe: where attention is looked at.
        truncation: whether finetuning, too, sees only the demonstrations that fit into the context.
        order: in which order finetuning sees the demonstrations under a permutation.
        calibration: of the predicted labels.
        fillers: what stands in the content-free queries of contextual calibration (Zhao et al. 2021, section 5).
        sim_am: which similarities of attention maps are measured, `direct` as sim_am and `update` as sim_am_update.
        random_baseline: what is drawn for the random SimAOU.
        agreement: when two prediction changes agree.
        diagnostics: whether the logit lens and the attention to the demonstrations are measured, of the methods in
            `icl_claims.experiments.measure.DIAGNOSED`.
        code: digest of the code that makes the numbers.

    Raises:
        UsageError: contextual calibration without a filler, two methods of one name, or a method that is asked in other
            words with other parameters than the method of its name.
    """

    model: str
    data: str
    task: str
    k: int
    seed: int
    permutation: int
    queries: int | None
    methods: tuple[Method, ...]
    weights: Literal["trained"] | Kept = "trained"
    dtype: str = "float32"
    probe: ProbePosition = "label_token"
    truncation: Truncation = "in_context"
    order: Order = "authors"
    calibration: Calibration = "none"
    fillers: tuple[str, ...] = ("N/A", "[MASK]", "")
    sim_am: tuple[AttentionMapSimilarity, ...] = ("direct", "update")
    random_baseline: RandomBaseline = "update"
    agreement: Agreement = "same_label"
    diagnostics: bool = True
    code: str = ""

    def __post_init__(self) -> None:
        if self.calibration == "contextual" and not self.fillers:
            raise UsageError("Contextual calibration", expected="at least one filler", got="none")
        names = [method.name for method in self.methods]
        by_name = dict(zip(names, self.methods, strict=True))
        for method in self.methods:
            if isinstance(method, Paraphrased) and by_name.get(method.method.name, method.method) != method.method:
                wanted = f"the parameters of {method.method.name}, with which it shares what is learned"
                raise UsageError(f"The method {method.name}", expected=wanted, got="others")
        if len({*names, "zero_shot", "in_context"}) != len(names) + 2:
            raise UsageError("The methods of a trial", expected="one of each name", got=", ".join(names))

    def record(self) -> dict[str, Any]:
        """The specification as plain data, the same before and after it was written as JSON."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
        return {**plain, "methods": [described(method) for method in self.methods]}

    def key(self) -> str:
        """SHA-256 of the specification: two trials with one key have the same numbers."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True).encode()).hexdigest()


def described(method: Any) -> dict[str, Any]:
    """A method and its parameters as plain data; a method within it likewise."""
    parameters = {field.name: getattr(method, field.name) for field in fields(method)}
    return {
        "kind": type(method).__name__,
        "name": getattr(method, "name", ""),
        **{name: described(value) if is_dataclass(value) else value for name, value in parameters.items()},
    }


@cache
def code_digest() -> str:
    """SHA-256 over the source that makes a trial's numbers."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for pattern in CODE_THAT_MAKES_NUMBERS:
        for path in sorted(package.glob(pattern)):
            digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
