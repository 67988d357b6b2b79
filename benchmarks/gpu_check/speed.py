"""The pass of in-context learning and a trial at the papers' shape: seconds, arithmetic, and memory beside the plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from benchmarks.answering import InContextPass
from benchmarks.dense import dense_model
from benchmarks.gpu_check.finding import Asked, Finding
from benchmarks.memory import MIB, peak_memory
from benchmarks.outcome import Outcome, Say, tolerance_of
from benchmarks.setting import Setting
from benchmarks.timing import timed
from benchmarks.trials import one_method, spec_of, trial_against_reference
from icl_claims.experiments import estimate
from icl_claims.experiments.trial import prompts_of, run_trial

OVER_THE_PLAN = 1.2
"""How many times the planned memory a trial may take on a GPU; of a process without one, torch's part is not known."""


def in_context_pass(asked: Asked, say: Say) -> Iterator[Finding]:
    """In every dtype, against full prompts in the same dtype, and against this device's own matrix products."""
    for dtype in asked.dtypes:
        setting = _setting(asked, dtype)
        outcome = InContextPass(setting, asked.effort.context, asked.effort.queries).measure(say)
        yield _finding(f"{outcome.case}, {str(dtype).removeprefix('torch.')}", outcome, dtype)


def trial_of_one_method(asked: Asked, say: Say) -> Iterator[Finding]:
    """Answers of a trial against three passes of full prompts, in single precision."""
    setting = _setting(asked, torch.float32)
    methods = one_method(setting)
    for outcome in trial_against_reference("trial of 1 method", setting, say, methods, passes=("three for each",)):
        yield _finding(f"{outcome.case}, float32", outcome, torch.float32)


def memory_and_plan(asked: Asked, say: Say) -> Iterator[Finding]:
    """What a trial takes, in bytes and seconds, beside what `icl-claims plan` says that it will take."""
    for dtype in asked.dtypes:
        setting = _setting(asked, dtype)
        model, methods, name = setting.model, one_method(setting), str(dtype).removeprefix("torch.")
        spec = replace(spec_of(setting, methods, asked.effort.memory_trial), diagnostics=True)
        prompts = prompts_of(spec, model, setting.data)
        say(f"{name}: planning a trial")
        planned = estimate.memory(model, [prompts], len(methods))
        seconds = estimate.measure_speed(model, methods).seconds(estimate.work_of(spec, prompts))
        say(f"{name}: running it")
        with peak_memory(model.device) as peak:
            _, taken = timed(partial(run_trial, spec, model, setting.data))
        beside = sum(planned.values()) - planned["weights"]
        measured: dict[str, float | str] = {
            "MiB of weights": planned["weights"] / MIB,
            "MiB planned beside them": beside / MIB,
            "MiB taken": peak[0] / MIB,
            "taken / planned": peak[0] / beside,
            "s planned": seconds,
            "s taken": taken,
        }
        limits = {"taken / planned": OVER_THE_PLAN} if asked.device.type == "cuda" else {}
        yield Finding.judged(f"memory and time of a trial against its plan, {name}", measured, limits)


def _setting(asked: Asked, dtype: torch.dtype) -> Setting:
    return Setting(dense_model(asked.large, asked.seed, asked.device, dtype), asked.effort)


def _finding(check: str, outcome: Outcome, dtype: torch.dtype) -> Finding:
    """What an outcome says; its sides agree, or it would have been an error."""
    measured: dict[str, float | str] = {
        "ms a query": 1e3 * outcome.ours,
        "times faster than the reference": outcome.ratio.median,
    }
    if outcome.rate is not None and outcome.best_product is not None and outcome.fraction_of_peak is not None:
        measured |= {
            "TFLOP/s": outcome.rate / 1e12,
            f"TFLOP/s of {outcome.best_product}": outcome.rates[outcome.best_product] / 1e12,
            "share of it": outcome.fraction_of_peak,
        }
    difference = float("nan") if outcome.max_difference is None else outcome.max_difference
    measured["largest difference"] = difference
    return Finding.judged(check, measured, {"largest difference": tolerance_of(dtype)})
