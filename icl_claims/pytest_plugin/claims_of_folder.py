"""The claims of a folder, collected without being decided, and what they ask about."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import UsageError
from icl_claims.pytest_plugin.collection import asked_of_trials
from icl_claims.pytest_plugin.places import shipped_name
from icl_claims.pytest_plugin.records import claim_of, mark_of, module_of

if TYPE_CHECKING:
    from icl_claims.claims import Claim

QUIETLY = ("--collect-only", "--assert=plain", "-p", "no:terminal", "-p", "no:cacheprovider")


class ClaimsOfFolder:
    """The claims of a folder, as a plugin of the run that collects them."""

    config: pytest.Config

    def __init__(self) -> None:
        self.claims: dict[str, dict[str, Any]] = {}
        self._asking: dict[str, Claim] = {}
        self._modules: dict[str, ModuleType] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take in the claims: each with its sources, what it asks in print, and the names of its tests."""
        self.config = session.config
        for item in session.items:
            mark, declared = mark_of(item), claim_of(item)
            if mark is None or declared is None:
                continue
            claim: Claim = self._asking.setdefault(declared["id"], mark.args[0])
            self._modules.setdefault(claim.id, module_of(item))
            fields = {name: declared[name] for name in ("id", "paper", "where", "statement", "rule")}
            fields |= {"asks": list(map(str, claim.questions)), "sources": [], "tests": []}
            found = self.claims.setdefault(claim.id, fields)
            file = shipped_name(item.path) or os.path.relpath(item.path)
            test = f"{file}::{item.nodeid.partition('::')[2].partition('[')[0]}"
            for known, new in ((found["sources"], declared["source"]), (found["tests"], test)):
                if new not in known:
                    known.append(new)

    def declared(self) -> dict[str, tuple[Claim, ModuleType]]:
        """The claims by their ids, each with the module that declares it."""
        return {name: (claim, self._modules[name]) for name, claim in self._asking.items()}

    def things(self) -> dict[str, list[dict[str, Any]]]:
        """The metrics, methods and tasks that they ask about, as plain data.

        Raises:
            UsageError: A claim names a task that is nowhere.
            DataError: The folder of a task cannot be read.
        """
        from icl_claims.methods import Method, nulls_of_method, variant_of
        from icl_claims.report.words import Term
        from icl_claims.tasks import PAPERS_TASKS, TASKS

        tasks = {**TASKS, **{task.name: task for task in asked_of_trials(self.config).own_tasks}}
        questions = [question for claim in self._asking.values() for question in claim.questions]
        quantities = [quantity for question in questions for quantity in question.quantities]
        metrics = {quantity.metric.name: Term.of(quantity.metric) for quantity in quantities}
        sides = (getattr(side, "of", side) for q in quantities for side in (q.method, q.reference))
        methods = {side.name: side for side in sides if isinstance(side, Method)}
        named = dict.fromkeys(name for question in questions for name in question.tasks or PAPERS_TASKS)
        return {
            "metrics": [
                {"name": name, "title": term.title, "unit": term.unit, "definition": term.definition}
                for name, term in metrics.items()
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


def collect_claims(folder: Path) -> ClaimsOfFolder:
    """The claims that tests in a folder decide.

    Raises:
        UsageError: No such folder, or no claim in it.
    """
    collected = ClaimsOfFolder()
    if folder.is_dir():
        pytest.main([*QUIETLY, str(folder)], [collected])
    if not collected.claims:
        raise UsageError(
            f"No claims were found in {folder}",
            expected="a folder of tests that decide claims",
            todo="Name the folder of your claims, or none for those that ship with the project.",
        )
    return collected
