"""Print what a run will cost before it is run."""

import json
import sys
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from icl_claims.experiments.estimate import Estimate, Work, estimate
from icl_claims.experiments.plan import Choices, Run, resolve
from icl_claims.experiments.result import TrialStore
from icl_claims.models import LanguageModel
from icl_claims.report.words import duration

_GIB = 1024**3


def plan_and_print(choices: Choices, *, as_json: bool) -> None:
    """Count the work of a run, measure a little of it, and print both.

    Raises:
        IclClaimsError: An argument makes no sense, or model or data cannot be read.
    """
    say = partial(Console(stderr=True).print, highlight=False)
    run, model = resolve(choices, say=say), choices.load_model(say)
    found = estimate(run, model, TrialStore())
    if as_json:
        sys.stdout.write(json.dumps(_as_plain_data(found, model, run.rates.origin), indent=1) + "\n")
    else:
        _print(found, model, run)


def _as_plain_data(found: Estimate, model: LanguageModel, rates: str) -> dict[str, Any]:
    """An estimate as JSON; memory in bytes, time in seconds."""
    return {
        "model": model.name,
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "learning_rates": rates,
        "total": asdict(found.total),
        **asdict(found),
    }


def _print(found: Estimate, model: LanguageModel, run: Run) -> None:
    columns = ("trials", "prefix tokens", "query tokens", "answered by all methods", "steps", "trained tokens")
    table = Table(
        "task", *columns, title=f"{model.name} on {model.device} in {str(model.dtype).removeprefix('torch.')}"
    )
    for task, work in found.by_task.items():
        table.add_row(run.data[task].task.title, *_cells(work), end_section=task == list(found.by_task)[-1])
    table.add_row("all", *_cells(found.total))
    memory = Table("memory, about", "GiB")
    for what, held in found.memory.items():
        memory.add_row(what, f"{held / _GIB:.2f}")
    console = Console()
    console.print(table, memory)
    free = f"{found.free / _GIB:.1f} GiB are free besides the weights, which are loaded now"
    cached = f", besides {found.kept} cached trials" if found.kept else ""
    console.print(f"{free}. Learning rates: {run.rates.origin}.", style="dim", highlight=False)
    console.print(f"About {duration(found.seconds)}{cached}.", style="bold", highlight=False)


def _cells(work: Work) -> list[str]:
    counts = (work.trials, work.prefix_tokens, work.query_tokens, work.answered_tokens, work.steps, work.trained_tokens)
    return [f"{count:,}" for count in counts]
