"""The command `python -m benchmarks.gpu_check`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.gpu_check.agreement import agreement
from benchmarks.gpu_check.cards import several_cards
from benchmarks.gpu_check.end_to_end import claims_end_to_end
from benchmarks.gpu_check.finding import Check, Finding, as_markdown, asked_of, found_by, write
from benchmarks.gpu_check.little_memory import halved_batches
from benchmarks.gpu_check.speed import in_context_pass, memory_and_plan, trial_of_one_method
from benchmarks.machine import described
from benchmarks.progress import progress_of_trials
from icl_claims.errors import IclClaimsError
from icl_claims.models.reference import find_device

CHECKS: dict[str, Check] = {
    "numbers": agreement,
    "claims": claims_end_to_end,
    "pass": in_context_pass,
    "trial": trial_of_one_method,
    "memory": memory_and_plan,
    "halving": halved_batches,
    "cards": several_cards,
}
RESULTS = Path(__file__).parents[1] / "gpu_check.json"


def main(
    device: Annotated[str, typer.Option(help="cuda, cuda:N, or cpu, with --small, to see that it runs.")] = "cuda",
    only: Annotated[str | None, typer.Option(help=f"Only these checks, with commas: {', '.join(CHECKS)}.")] = None,
    small: Annotated[bool, typer.Option("--small", help="Small models and little of everything: a minute.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the weights.", min=0)] = 1,
    write_to: Annotated[
        Path | None,
        typer.Option("--write", help="JSON file, with a table next to it; for all checks: benchmarks/gpu_check.json."),
    ] = None,
) -> None:
    """Check a GPU: the numbers of the CPU, claims from end to end, speed, memory. Nothing is downloaded.

    Models have random weights and are made in place: of the papers' shape (24 layers, width 2048, 1.3 billion
    parameters; 24 GiB of GPU memory and 6 GiB of disk), and a smaller one, which the CPU answers with, too.

    - **numbers**: logits, attention outputs, gradients of keys and values, SimAOU; in float32, float16 and bfloat16.
    - **claims**: `pytest claims/ -m gpu` with few queries ends with words, not errors.
    - **pass**, **trial**: against the procedure of the papers' authors, and against this card's own matrix products.
    - **memory**: of a trial, and its seconds, against `icl-claims plan`.
    - **halving**: batches that are halved because memory runs out give the same numbers.
    - **cards**: a model over several cards gives the numbers of one.

    The exit status is 1 if a check fails; the others are made all the same.

        python -m benchmarks.gpu_check                        all, as make gpu-check
        python -m benchmarks.gpu_check --only numbers         do they agree?
        python -m benchmarks.gpu_check --device cpu --small   does it run?
    """
    chosen = list(CHECKS) if only is None else only.split(",")
    if unknown := sorted(set(chosen) - set(CHECKS)):
        raise typer.BadParameter(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    where = find_device(device)
    findings = list[Finding]()
    with tempfile.TemporaryDirectory() as folder, progress_of_trials(len(chosen), quiet=False) as report:
        asked = asked_of(where, seed, Path(folder), small=small)
        findings += found_by({name: CHECKS[name] for name in chosen}, asked, report)
    Console().out(as_markdown(findings), highlight=False)
    file = write_to or (None if small or only else RESULTS)
    if file is not None:
        write(findings, described(where), file)
    if any(finding.word == "failed" for finding in findings):
        raise typer.Exit(1)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False)
    app.command()(main)
    try:
        app()
    except IclClaimsError as error:
        sys.exit(f"gpu_check: {error.as_told(lambda name: f'--{name}')}")
