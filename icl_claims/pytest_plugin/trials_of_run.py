"""The trials that a run of claims asks for: planned, run or read from the store, with progress in the terminal."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from icl_claims.evidence.comparison import AbsentEvidence
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.plan import Choices, plan_trials
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.store import TrialStore, default_store
from icl_claims.experiments.trial import run_trial
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.reference import load_model
from icl_claims.pytest_plugin.options import choices_of
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import TaskData

Visible = Callable[[pytest.Config], AbstractContextManager[Callable[[str], None]]]


class TrialsOfRun:
    """Gives the trials of a profile, each profile's run once."""

    def __init__(self, config: pytest.Config, visible: Visible) -> None:
        self._config, self._visible = config, visible
        self._known: dict[str, TrialsEvidence | AbsentEvidence] = {}

    def __call__(self, profile: str) -> TrialsEvidence | AbsentEvidence:
        """The trials of a profile; the chosen one by default."""
        if profile not in self._known:
            self._known[profile] = self._run(choices_of(self._config, profile))
        return self._known[profile]

    def _run(self, choices: Choices) -> TrialsEvidence | AbsentEvidence:
        details = {"profile": choices.profile.name, "changed": list(choices.changed)}
        reason = why_not(choices)
        if reason:
            return AbsentEvidence("trials", reason, details)
        data = choices.read_data()
        with self._visible(self._config) as say:
            say(f"Trials of profile {choices.profile.name}: loading {choices.model_reference}.")
            model = load_model(choices.model_reference, device=choices.device or "auto", say=say)
            results = run_all(choices, model, data, quiet=self._config.get_verbosity() < 0)
        source = "miniature tasks" if choices.data is None else f"the real tasks in {choices.data}"
        return TrialsEvidence(results, {**details, "model": choices.model_reference, "data": source})


def why_not(choices: Choices) -> str:
    """Why the trials of a profile cannot be run here; empty where they can."""
    if choices.profile.needs_cuda and choices.device is None and not torch.cuda.is_available():
        return "no CUDA device (run on a GPU machine, or force it with --claims-device cpu)"
    if choices.profile.needs_cuda and choices.model is None:
        return "no model named (add --claims-model path:DIR)"
    if choices.profile.needs_cuda and choices.data is None:
        return "no data named (add --claims-data DIR)"
    return ""


def run_all(
    choices: Choices, model: LanguageModel, data: dict[str, TaskData], *, quiet: bool, folder: Path | None = None
) -> dict[str, list[TrialResult]]:
    """Run, or read from the store, every trial of the plan, with a progress bar."""
    store = TrialStore(folder or default_store())
    results: dict[str, list[TrialResult]] = defaultdict(list)
    specs = plan_trials(choices, model, data)
    with _progress(quiet) as progress:
        bar = progress.add_task("", total=len(specs), step="starting")
        for number, spec in enumerate(specs):
            title = f"trial {number + 1} of {len(specs)}, {TASKS[spec.task].title}"

            def report(what: str, done: float, title: str = title, number: int = number) -> None:
                progress.update(bar, completed=number + done, step=f"{title}: {what}")

            report("starting", 0.0)
            task = data[spec.task]
            results[spec.task].append(
                store.get_or_run(spec.key(), lambda spec=spec, task=task: run_trial(spec, model, task, report))  # type: ignore[misc]
            )
            report("done", 1.0)
    return dict(results)


def _progress(quiet: bool) -> Progress:
    columns: tuple[Any, ...] = (
        TextColumn("{task.fields[step]}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    return Progress(*columns, console=Console(file=sys.stdout, stderr=False), disable=quiet)
