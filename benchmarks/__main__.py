"""The command `python -m benchmarks`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks.answering import in_context_passes, other_contexts, other_depths, other_numbers
from benchmarks.machine import described
from benchmarks.memory import memory_of_a_trial
from benchmarks.outcome import Outcome, Say, as_markdown, write
from benchmarks.peer import cache_and_hooks
from benchmarks.processes import two_processes
from benchmarks.progress import DONE, Report, progress_of_trials
from benchmarks.setting import FULL, QUICK, Setting, load
from benchmarks.trials import learning, whole_trials
from icl_claims.errors import IclClaimsError
from icl_claims.models.reference import find_device

CASES: dict[str, Callable[[Setting, Say], Iterator[Outcome]]] = {
    "pass": in_context_passes,
    "peer": cache_and_hooks,
    "contexts": other_contexts,
    "queries": other_numbers,
    "depths": other_depths,
    "trials": whole_trials,
    "learning": learning,
    "processes": two_processes,
    "memory": memory_of_a_trial,
}
RESULTS = Path(__file__).parent / "results.json"


def main(
    model: Annotated[
        str | None,
        typer.Option(
            help="embedded, tiny, path:DIR, or dense, of the papers' shape with random weights, which needs no "
            "checkpoint; by default embedded on the CPU, and dense elsewhere."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    only: Annotated[str | None, typer.Option(help=f"Only these cases, with commas: {', '.join(CASES)}.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of torch; by default as many as torch takes.", min=1)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Once, and little of everything: does it run?")] = False,
    write_to: Annotated[
        Path | None,
        typer.Option("--write", help="JSON file, with a table next to it; for all cases: benchmarks/results.json."),
    ] = None,
) -> None:
    """Measure how much faster the suite is than the procedure of the papers' authors, about 30 minutes on 2 idle cores.

    Both sides run in one process by turns, in several rounds, with the same weights and prompts. Their predictions and
    similarities are compared in the same run, and a difference is an error. The seconds are medians; a ratio is that of
    one round, and its range over the rounds shows how quiet the machine was.

    The **reference** reads a full prompt for every query and method through transformers and its
    scaled_dot_product_attention, with logits at the answer's position alone. In trials it writes what it saw as JSON
    Lines, and makes three passes for each method (zero-shot, in context, tuned), as the authors did. "As the authors'"
    also scores every position of a prompt once for every label, as their code does. The **peer** is what one would
    write with stock transformers: a key-value cache of the demonstrations, and hooks, at the best size of batch.

    The **best product** is the fastest of the kernels that this machine has (MKL, oneDNN and OpenBLAS on the CPU,
    cuBLAS on CUDA) at the model's own shapes, measured just before and after ours.

        python -m benchmarks                        all cases, as in the README
        python -m benchmarks --only pass,peer       the ICL pass alone, minutes
        python -m benchmarks --device cuda          on a GPU, random weights
        python -m benchmarks --quick --model tiny   seconds
    """
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = list(CASES) if only is None else only.split(",")
    if unknown := sorted(set(chosen) - set(CASES)):
        raise typer.BadParameter(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    name = model or ("embedded" if find_device(device).type == "cpu" else "dense")
    loaded = load(name, device, say=Console(stderr=True).print)
    setting, outcomes = Setting(loaded, QUICK if quick else FULL), list[Outcome]()
    try:
        with progress_of_trials(len(chosen), quiet=False) as report:
            for done, case in enumerate(chosen):
                outcomes += CASES[case](setting, partial(_report_step, report, case, done))
                report(case, DONE, done + 1)
    finally:
        print_table(outcomes)  # also of what came before an error
    file = write_to or (None if quick or only else RESULTS)
    if file is not None:
        write(outcomes, described(loaded.device), file)


def _report_step(report: Report, case: str, done: int, step: str) -> None:
    report(case, step, done)


def print_table(outcomes: list[Outcome]) -> None:
    """The outcomes on the terminal."""
    Console().out(as_markdown(outcomes), highlight=False)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False)
    app.command()(main)
    try:
        app()
    except IclClaimsError as error:
        sys.exit(f"benchmarks: {error}")
