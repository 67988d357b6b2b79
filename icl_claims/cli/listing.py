"""The claims that lie in a folder, found by collecting its tests, and the things that they ask about."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icl_claims.claims import Claim
from icl_claims.errors import UsageError
from icl_claims.pytest_plugin.claim_json import declare
from icl_claims.pytest_plugin.collection import AskedOfTrials, asked_of_trials
from icl_claims.questions import Quantity, Question

QUIETLY = ("--collect-only", "--assert=plain", "-p", "no:terminal", "-p", "no:cacheprovider")
_Rows = list[dict[str, Any]]


class Collected:
    """The claims of a folder, as a plugin of the run that collects them."""

    def __init__(self) -> None:
        self.claims: dict[str, dict[str, Any]] = {}
        self._asking: dict[str, Claim] = {}
        self._config: pytest.Config | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take in the claims that the tests decide, each with its sources and what it asks in print."""
        self._config = session.config
        for item in session.items:
            mark, declared = item.get_closest_marker("claim"), declare(item)
            if mark is None or declared is None:
                continue
            claim: Claim = self._asking.setdefault(declared["id"], mark.args[0])
            fields = {name: declared[name] for name in ("id", "paper", "where", "statement", "rule")}
            fields |= {"asks": list(map(str, claim.questions)), "sources": []}
            sources = self.claims.setdefault(claim.id, fields)["sources"]
            if declared["source"] not in sources:
                sources.append(declared["source"])

    def of_trials(self) -> AskedOfTrials:
        """What they ask of trials, with the reader's own methods, metrics and tasks.

        Raises:
            UsageError: A claim names a task that is nowhere.
            DataError: The folder of a task cannot be read.
        """
        assert self._config is not None
        return asked_of_trials(self._config)

    def things(self) -> dict[str, _Rows]:
        """The metrics, methods and tasks that they ask about, as plain data.

        Raises:
            UsageError: A claim names a task that is nowhere.
            DataError: The folder of a task cannot be read.
        """
        from icl_claims.methods import Method, nulls_of_method, variant_of
        from icl_claims.report.glossary import Term
        from icl_claims.tasks import PAPERS_TASKS, TASKS

        tasks = {**TASKS, **{task.name: task for task in self.of_trials().own_tasks}}
        metrics = {q.metric.name: q.metric for q in self._quantities()}
        sides = (getattr(side, "of", side) for q in self._quantities() for side in (q.method, q.reference))
        methods = {side.name: side for side in sides if isinstance(side, Method)}
        named = dict.fromkeys(name for question in self._questions() for name in question.tasks or PAPERS_TASKS)
        return {
            "metrics": [
                {"name": name, "title": metric.title, "unit": term.unit, "definition": term.definition}
                for name, metric in metrics.items()
                if (term := Term.of(metric))
            ],
            "methods": [
                {
                    "name": name,
                    "title": method.title,
                    "variant_of": "" if (original := variant_of(method)) is None else original.title,
                    "nulls": [null.title for null in nulls_of_method(method)],
                }
                for name, method in methods.items()
            ],
            "tasks": [
                {"name": name, "title": tasks[name].title, "labels": list(tasks[name].verbalizers)}
                for name in named
                if name in tasks
            ],
        }

    def _questions(self) -> Iterator[Question]:
        yield from (question for claim in self._asking.values() for question in claim.questions)

    def _quantities(self) -> Iterator[Quantity]:
        yield from (quantity for question in self._questions() for quantity in question.quantities)


def collect_claims(folder: Path) -> Collected:
    """The claims that tests in a folder decide.

    Raises:
        UsageError: No such folder, or no claim in it.
    """
    collected = Collected()
    if folder.is_dir():
        pytest.main([*QUIETLY, str(folder)], [collected])
    if not collected.claims:
        raise UsageError(
            f"No claims were found in {folder}",
            expected="the folder `claims` of the project",
            todo="Run this in a clone of the project, or name the folder: icl-claims list DIR.",
        )
    return collected
