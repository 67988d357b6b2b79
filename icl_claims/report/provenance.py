"""Where numbers come from: the sets of trials of a run, and how to decide just one claim again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icl_claims.report.names import task_name

Record = dict[str, Any]
Trial = Mapping[str, Any]

# What differs between two runs of the same trials, or is a list too long to read.
NOT_SHOWN = ("finished", "seconds", "demonstration_rows")


@dataclass(frozen=True, eq=False)
class TrialSet:
    """Trials that several claims were decided on.

    Args:
        anchor: of its place in the page.
        facts: profile, model, data and what else was said about all of them.
        trials: one for each draw of demonstrations.
    """

    anchor: str
    facts: dict[str, Any]
    trials: tuple[Trial, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The facts that differ between its trials, or are worth a column."""
        names = dict.fromkeys(name for trial in self.trials for name in trial if name not in NOT_SHOWN)
        return tuple(name for name in names if name in _ALWAYS or self._differs(name))

    @property
    def shared(self) -> dict[str, Any]:
        """The facts that all of its trials have in common."""
        first = self.trials[0]
        return {name: first[name] for name in first if name not in (*NOT_SHOWN, *self.columns) and first[name] != []}

    def _differs(self, name: str) -> bool:
        return len({str(trial.get(name)) for trial in self.trials}) > 1

    def tasks(self) -> list[str]:
        """Each task in words: queries, demonstrations, seeds."""
        by_task: dict[str, list[Trial]] = {}
        for trial in self.trials:
            by_task.setdefault(str(trial.get("task", "")), []).append(trial)
        return [_task_in_words(task, trials) for task, trials in by_task.items()]


_ALWAYS = ("task", "seed", "permutation", "queries")


def trial_sets(claims: Sequence[Record]) -> dict[str, TrialSet]:
    """The different sets of trials of a run, by the text that `key_of_trials` gives."""
    found: dict[str, TrialSet] = {}
    for claim in claims:
        key = key_of_trials(claim)
        if key and key not in found:
            facts = {name: value for name, value in claim["provenance"].items() if name != "trials" and value}
            found[key] = TrialSet(f"page-trials-{len(found) + 1}", facts, tuple(claim["provenance"]["trials"]))
    return found


def key_of_trials(claim: Record) -> str:
    """What tells the trials of a record from others; empty where it has none."""
    provenance = claim["provenance"]
    if not provenance.get("trials"):
        return ""
    trials = [{name: trial[name] for name in trial if name not in NOT_SHOWN} for trial in provenance["trials"]]
    return json.dumps({**provenance, "trials": trials}, sort_keys=True, default=str)


def other_facts(claim: Record) -> dict[str, str]:
    """Where a record's numbers come from, its trials apart."""
    return {name: in_words(value) for name, value in claim["provenance"].items() if name != "trials" and value}


def in_words(value: object) -> str:
    """A fact as text: lists with commas, mappings as `name value`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(in_words, value))
    return str(value)


def command_of(claim: Record, options: Mapping[str, Any]) -> str:
    """The shell command that decides just this claim again, on the same evidence."""
    words = ["pytest", claim["test"]]
    if claim["source"] == "trials":
        chosen = {**options, "profile": claim["profile"]} if claim["profile"] != "paper" else dict(options)
        named = {name: value for name, value in chosen.items() if (name, value) != ("profile", "embedded")}
        words += [word for name, value in named.items() for word in (f"--claims-{name}", str(value))]
    return shlex.join(words)


def _task_in_words(task: str, trials: Sequence[Trial]) -> str:
    first = trials[0]
    seeds = [str(trial.get("seed")) for trial in trials]
    shown = first.get("demonstrations_in_context", first.get("k"))
    demonstrations = f"{shown} of {first.get('k')} demonstrations"
    plural = "s" if len(seeds) > 1 else ""
    return f"{task_name(task)} ({first.get('queries')} queries, {demonstrations}, seed{plural} {', '.join(seeds)})"
