"""Which xdist worker runs which claims: those on the trials of a profile go together, so that few load its model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from icl_claims.pytest_plugin.known_refutations import FILE

_ON_TRIALS = re.compile(r"\[(?:.*-)?(trials(?:-paper)?)(?:-.*)?\]$")
CARDS = "nvidia[0-9]*"


class ClaimScheduling(LoadScopeScheduling):
    """Claims on trials in as many groups as there are workers, or CUDA devices if these are fewer; others one by one.

    The groups of a profile share its trials: each trial is run by one of them, through the store.
    """

    def __init__(self, config: pytest.Config, groups: int) -> None:
        super().__init__(config)
        self._groups = min(groups, self.numnodes)
        self._of_profile: dict[str, dict[str, int]] = {}

    def remove_node(self, node: Any) -> str | None:
        """Give the tests of a worker that is gone to others, but the one that it crashed in, which would crash again.

        Returns:
            That test; None where the worker had done its work.
        """
        work: dict[str, dict[str, bool]] = self.assigned_work.pop(node)
        crashed = next(((unit, test) for unit in work.values() for test, done in unit.items() if not done), None)
        if crashed is None:
            return None
        unit, test = crashed
        unit[test] = True
        self.workqueue.update({scope: unit for scope, unit in work.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return test

    def _split_scope(self, nodeid: str) -> str:
        on_trials = _ON_TRIALS.search(nodeid)
        if on_trials is None:
            return nodeid
        known = self._of_profile.setdefault(on_trials[1], {})
        return f"{on_trials[1]} {known.setdefault(nodeid, len(known) % self._groups)}"


def scheduling_of(config: pytest.Config) -> ClaimScheduling | None:
    """The scheduling of a run of claims under `-n`; None for any other run, or where the reader chose another."""
    if config.getoption("dist") != "load" or not any(_is_of_claims(config, argument) for argument in config.args):
        return None
    cards = len(list(Path("/dev").glob(CARDS)))
    return ClaimScheduling(config, cards or len(config.getoption("tx")))


def _is_of_claims(config: pytest.Config, argument: str) -> bool:
    """Whether what the reader names lies in a folder of claims, or is one: known refutations lie there."""
    named = config.invocation_params.dir / argument.partition("::")[0]
    return any((folder / FILE).is_file() for folder in (named, *named.parents))
