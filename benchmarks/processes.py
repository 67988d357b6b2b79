"""The case of `-n 1` against `-n 2`: the same trials in one process, or in two with half of its threads each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

import torch

from benchmarks.outcome import Outcome, Rounds, Say
from benchmarks.setting import Effort, Setting, load
from benchmarks.timing import timed
from benchmarks.trials import one_method, spec_of
from icl_claims.experiments.trial import run_trial

_settings: list[Setting] = []


def two_processes(setting: Setting, say: Say) -> Iterator[Outcome]:
    """Two trials one after the other with all threads, against both at once with half of them each."""
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        say("processes: loading the model in three of them")
        one, *both = (stack.enter_context(_process(setting, each)) for each in (threads, *[max(threads // 2, 1)] * 2))
        rounds = Rounds()
        for worker in (one, *both):
            worker.submit(_run_trial).result()
        for number in range(setting.effort.rounds):
            say(f"processes: round {number + 1}")
            _, spent = timed(lambda: [one.submit(_run_trial).result() for _ in both])
            rounds.reference.append(spent / len(both))
            _, spent = timed(lambda: [running.result() for running in [worker.submit(_run_trial) for worker in both]])
            rounds.ours.append(spent / len(both))
    yield rounds.outcome(f"-n 2 against -n 1, {threads} threads in all", "a trial")


def _process(setting: Setting, threads: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        1, context, _load, (setting.model.name, str(setting.model.device), setting.effort, threads)
    )


def _load(model: str, device: str, effort: Effort, threads: int) -> None:
    torch.set_num_threads(threads)
    _settings.append(Setting(load(model, device), effort))


def _run_trial() -> None:
    setting = _settings[0]
    run_trial(spec_of(setting, one_method(setting), setting.effort.small_trial), setting.model, setting.data)
