"""Batches that are halved because memory runs out give the numbers of the whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from benchmarks.dense import dense_model
from benchmarks.gpu_check.finding import Asked, Finding
from benchmarks.memory import peak_memory
from benchmarks.outcome import TOLERANCE, Say
from benchmarks.setting import Setting
from benchmarks.trials import one_method, spec_of
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.trial import prompts_of, run_trial
from icl_claims.models.language_model import LanguageModel

SHARES = (0.7, 0.5, 0.35)
"""Of what the whole batch takes; the first that is too little decides."""
CHECK = "memory runs out"


def halved_batches(asked: Asked, say: Say) -> Iterator[Finding]:
    """A trial in one batch, and again with less memory than that takes, in single precision.

    On a GPU torch is given less memory; on the CPU, whose memory cannot be taken from one process, more than a share of
    the tokens is refused as a GPU refuses them.
    """
    setting = Setting(dense_model(asked.smaller, asked.seed, asked.device), asked.effort)
    model, spec = setting.model, spec_of(setting, one_method(setting), asked.effort.memory_trial)
    tokens = sum(map(len, prompts_of(spec, model, setting.data).queries.rows))

    def run() -> TrialResult:
        return run_trial(spec, model, setting.data, tokens_per_batch=tokens)

    say("with all the memory")
    with peak_memory(model.device) as peak:
        whole = run()
    for share in SHARES:
        say(f"with {share:.0%} of what that took")
        with little_memory(model, int(share * tokens), int(share * peak[0])):
            halved = run()
        if halved.provenance["notes"]:
            break
    notes = halved.provenance["notes"]
    measured: dict[str, float | str] = {
        "batches not halved:": float(not notes),
        "halvings:": str(len(notes)),
        "log-probabilities apart": _apart(whole.log_probabilities, halved.log_probabilities),
        "similarities apart": _apart(_similarities(whole), _similarities(halved)),
    }
    limits = {"batches not halved:": 0, "log-probabilities apart": TOLERANCE, "similarities apart": TOLERANCE}
    yield Finding.judged(CHECK, measured, limits)


def _similarities(result: TrialResult) -> dict[Any, np.ndarray]:
    return {entry: values for entry, values in result.by_layer.items() if entry.metric in ("sim_aou", "sim_am")}


def _apart(one: dict[Any, np.ndarray], other: dict[Any, np.ndarray]) -> float:
    return max(float(np.nanmax(np.abs(one[name] - other[name]))) for name in one)


@contextmanager
def little_memory(model: LanguageModel, tokens: int, more: int) -> Iterator[None]:
    """While open, a GPU has so many bytes more than it holds now; elsewhere, so many tokens are answered at once."""
    if model.device.type != "cuda":
        answer: Any = model.activations

        def refuse_many(rows: Any, *given: Any, **how: Any) -> Any:
            if sum(map(len, rows)) > tokens:
                raise torch.OutOfMemoryError(f"more than {tokens} tokens at once")
            return answer(rows, *given, **how)

        instance: Any = model
        instance.activations = refuse_many
        try:
            yield
        finally:
            del instance.activations
        return
    torch.cuda.empty_cache()
    room = torch.cuda.memory_reserved(model.device) + more
    torch.cuda.set_per_process_memory_fraction(
        room / torch.cuda.get_device_properties(model.device).total_memory, model.device
    )
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, model.device)
