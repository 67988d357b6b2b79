"""The case of memory: bytes that a trial of every method takes in addition to the loaded model."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import psutil
import torch

from benchmarks.outcome import Outcome, Rounds, Say
from benchmarks.setting import Effort, Setting, load
from benchmarks.trials import spec_of
from icl_claims.experiments.studies import every_method
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import at_rate

SECONDS_BETWEEN = 0.005
MIB = 2**20
ALL = 2**60


def memory_of_a_trial(setting: Setting, say: Say) -> Iterator[Outcome]:
    """The most memory above what the process holds once the model is loaded.

    The reference holds all that methods learn in memory until all have answered.
    """
    methods, size, rounds = len(every_method()), setting.effort.memory_trial, Rounds()
    for held, in_words, seen in ((ALL, "memory", rounds.reference), (None, "files", rounds.ours)):
        say(f"memory: {methods} methods, what they learn waits in {in_words}")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            model = setting.model.name, str(setting.model.device)
            arguments = *model, setting.effort, torch.get_num_threads(), held
            seen.append(process.submit(_peak_of_a_trial, *arguments).result() / MIB)
    case = f"memory of a trial of {methods} methods beside the model, {size.demonstrations} demonstrations"
    yield rounds.outcome(case, "a trial", measure="MiB")


def _peak_of_a_trial(model: str, device: str, effort: Effort, threads: int, held: int | None) -> int:
    torch.set_num_threads(threads)
    setting = Setting(load(model, device), effort)
    methods = tuple(at_rate(method, setting.learning_rate) for method in every_method())
    spec = spec_of(setting, methods, effort.memory_trial)
    with peak_memory(setting.model.device) as peak:
        run_trial(spec, setting.model, setting.data, learned_in_memory=held)
    return peak[0]


@contextmanager
def peak_memory(device: torch.device) -> Iterator[list[int]]:
    """By how many bytes the memory in use grows meanwhile, at most; known when this ends.

    On CUDA it is that of torch's tensors; else that of the process, looked at every few milliseconds.
    """
    if device.type != "cuda":
        with _peak_of_the_process() as peak:
            yield peak
        return
    peak, before = [0], torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    yield peak
    peak[0] = torch.cuda.max_memory_allocated(device) - before


@contextmanager
def _peak_of_the_process() -> Iterator[list[int]]:
    process, done = psutil.Process(), threading.Event()
    before, peak = process.memory_info().rss, [0]

    def watch() -> None:
        while not done.wait(SECONDS_BETWEEN):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
