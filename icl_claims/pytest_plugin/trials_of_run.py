"""The trials that a run of claims asks for: planned, run or read from the store, with progress in the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from icl_claims.evidence.comparison import AbsentEvidence
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.plan import Choices, plan_trials
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.store import TrialStore, default_store
from icl_claims.experiments.trial import run_trial
from icl_claims.models.language_model import LanguageModel
from icl_claims.pytest_plugin.options import choices_of
from icl_claims.pytest_plugin.progress import DONE, Report, progress_of_trials
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import TaskData

Visible = Callable[[pytest.Config], AbstractContextManager[Callable[[str], None]]]


class TrialsOfRun:
    """Gives the trials of a profile: those of the main study first, those of others when a claim asks for them."""

    def __init__(self, config: pytest.Config, visible: Visible) -> None:
        self._config, self._visible = config, visible
        self._known: dict[str, TrialsEvidence | AbsentEvidence] = {}

    def __call__(self, profile: str) -> TrialsEvidence | AbsentEvidence:
        """The trials of a profile; the chosen one by default."""
        if profile not in self._known:
            self._known[profile] = self._run(choices_of(self._config, profile))
        return self._known[profile]

    def _run(self, choices: Choices) -> TrialsEvidence | AbsentEvidence:
        details: dict[str, Any] = {"profile": choices.profile.name, "changed": list(choices.changed)}
        reason = why_not(choices)
        if reason:
            return AbsentEvidence("trials", reason, details)
        data = choices.read_data()
        with self._visible(self._config) as say:
            say(f"Trials of profile {choices.profile.name}: loading {choices.model_reference}.")
            model = choices.load_model(say)
        details["learning_rates"] = choices.learning_rates(model.digest).origin

        @cache
        def study(name: str) -> dict[str, list[TrialResult]]:
            if name not in choices.chosen_studies():
                return {}
            with self._visible(self._config):
                return run_all(choices, model, data, study=name, quiet=self._config.get_verbosity() < 0)

        details |= {"model": choices.model_reference, "data": choices.source.name}
        return TrialsEvidence(study("main"), details, study)


def why_not(choices: Choices) -> str:
    """Why the trials of a profile cannot be run here; empty where they can."""
    if choices.profile.needs_cuda and choices.device is None and not torch.cuda.is_available():
        return "no CUDA device (run on a GPU machine, or force it with --claims-device cpu)"
    if choices.profile.needs_cuda and choices.model is None:
        return "no model named (add --claims-model fairseq:DIR)"
    if choices.profile.needs_cuda and choices.data is None:
        return "no data named (add --claims-data DIR)"
    return ""


def run_all(
    choices: Choices,
    model: LanguageModel,
    data: dict[str, TaskData],
    *,
    study: str = "main",
    quiet: bool,
    folder: Path | None = None,
) -> dict[str, list[TrialResult]]:
    """Run, or read from the store, every trial of a study, with a progress bar."""
    store = TrialStore(folder or default_store())
    results: dict[str, list[TrialResult]] = defaultdict(list)
    specs = plan_trials(choices, model, data, study)
    with progress_of_trials(len(specs), quiet=quiet) as report:
        for number, spec in enumerate(specs):
            title = f"{study} study, trial {number + 1} of {len(specs)}, {TASKS[spec.task].title}"
            run = partial(run_trial, spec, model, data[spec.task], partial(_report_trial, report, title, number))
            results[spec.task].append(store.get_or_run(spec.key(), run))
            report(title, DONE, number + 1)
    return dict(results)


def _report_trial(report: Report, title: str, number: int, what: str, done: float) -> None:
    report(title, what, number + min(done, 0.999))
