"""Evidence of the authors' own runs: differences over their draws, with intervals where there are several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import EVERY_TASK, WHOLE_DEPTH, Comparison, Finding, Outcome, Quantity
from icl_claims.evidence.author_logs import FILE, LAYERS, RUNS, author_runs
from icl_claims.evidence.comparison import (
    ALL_TASKS,
    Side,
    direction,
    equal_in_words,
    in_words,
    judge,
    judge_equal,
    of_the_model,
    over_tasks,
    unknown_quantity,
)
from icl_claims.evidence.printed import Judge
from icl_claims.statistics.equivalence import CONFIDENCE_FOR_EQUIVALENCE
from icl_claims.statistics.influence import Column
from icl_claims.statistics.intervals import CONFIDENCE, Interval, seeds_interval
from icl_claims.statistics.power import seeds_needed, smallest_detectable
from icl_claims.statistics.proportions import newcombe, wilson

__all__ = ["AuthorRunsEvidence", "author_runs"]

Draw = tuple[int, int]
"""Seed and permutation of the demonstrations."""


@dataclass(frozen=True)
class _Logged:
    """A number of one log."""

    value: float
    unit: float
    run: str = ""
    precision: str = ""
    log: str = ""
    counted: int = 0
    of: int = 0

    @property
    def counts(self) -> str:
        return f"{self.counted} of {self.of}" if self.of else ""

    @property
    def answers(self) -> Column:
        """1 for every query that is counted, and 0 for the others it is a share of."""
        return np.repeat([1.0, 0.0], [self.counted, self.of - self.counted])


@dataclass(frozen=True)
class _Draws:
    """Both sides of a comparison on one task, draw by draw."""

    left: list[_Logged]
    right: list[_Logged]

    @property
    def differences(self) -> list[float]:
        return [mine.value - other.value for mine, other in zip(self.left, self.right, strict=True)]

    @property
    def means(self) -> tuple[float, float]:
        return _mean(self.left), _mean(self.right)

    def interval(self, confidence: float) -> Interval:
        """Student's interval over draws; for a single one, over the queries it counts, or what digits leave open."""
        if len(self.left) > 1:
            return seeds_interval(self.differences, confidence)
        mine, other = self.left[0], self.right[0]
        if mine.of and other.of:
            return newcombe(mine.answers, other.answers, confidence)
        if mine.of and not other.run:
            share = wilson(mine.answers, confidence)
            return Interval(share.estimate - other.value, share.low - other.value, share.high - other.value)
        (difference,), margin = self.differences, (self.left[0].unit + self.right[0].unit) / 2
        return Interval(difference, difference - margin, difference + margin)

    def note(self, upwards: bool | None) -> str:
        """How many draws there are and agree, and which runs they are from."""
        counts = " and ".join(dict.fromkeys(one.counts for one in (*self.left, *self.right) if one.counts))
        runs = len(self.left)
        if runs == 1:
            words = "one run" + (f" ({counts})" if counts else "")
        elif upwards is None:
            words = f"{runs} runs"
        else:
            agree = sum(difference > 0 if upwards else difference < 0 for difference in self.differences)
            words = f"{agree} of {runs} runs agree"
        sides = [dict.fromkeys(f"{one.run}, {one.precision}" for one in side if one.run) for side in self._sides]
        return f"{words}; " + " against ".join(dict.fromkeys("; ".join(side) for side in sides if side))

    @property
    def _sides(self) -> tuple[list[_Logged], list[_Logged]]:
        return self.left, self.right


@dataclass(frozen=True)
class AuthorRunsEvidence:
    """The authors' logs and result files, of the 1.3B model.

    Attention outputs, random updates and SimAM of updates are those of the final results (half precision, three
    draws). Direct SimAM and Rec2FTP of standard finetuning exist in single precision and for one draw of four tasks
    only; direct SimAM of layer-causal finetuning in half precision and for one draw.
    """

    source: str = "author_runs"

    def compare(
        self,
        left: Quantity,
        *,
        above: Side | None = None,
        below: Side | None = None,
        tasks: Sequence[str] = ALL_TASKS,
        confidence: float = CONFIDENCE,
    ) -> Comparison:
        """Compare quantities over the draws of demonstrations that were run with both, one interval a task.

        Raises:
            ClaimError: no run holds such a quantity.
        """
        side, upwards = direction(above, below)

        def judged(interval: Interval, _size: float) -> Outcome:
            return judge(interval, upwards)

        findings = self._findings(left, side, tasks, judged, upwards, confidence)
        return Comparison(in_words(left, side, upwards), findings, upwards, left, side)

    def equivalent(
        self, left: Quantity, to: Quantity, *, within: float, tasks: Sequence[str] = ALL_TASKS
    ) -> Comparison:
        """Two one-sided tests of the difference, over draws, against a share of the other quantity.

        Raises:
            ClaimError: no run holds such a quantity.
        """

        def judged(interval: Interval, size: float) -> Outcome:
            return judge_equal(interval, within * abs(size))

        findings = self._findings(left, to, tasks, judged, None, CONFIDENCE_FOR_EQUIVALENCE)
        return Comparison(equal_in_words(left, to, within), findings, None, left, to)

    def provenance(self) -> dict[str, Any]:
        """What was logged: for each commit the precision, the tasks, and the seeds of its draws."""
        runs = []
        for run, lines in author_runs().groupby("run", sort=False):
            facts = {name: sorted({str(value) for value in lines[name]}) for name in ("precision", "task", "method")}
            seeds = sorted({int(seed) for seed in lines["seed"]})
            runs.append({"run": run, "what": RUNS[str(run)], **facts, "seeds": seeds})
        return {"file": f"fixtures/{FILE}", "model": "fairseq dense 1.3B", "runs": runs}

    def _findings(
        self,
        left: Quantity,
        side: Side,
        tasks: Sequence[str],
        judged: Judge,
        upwards: bool | None,
        confidence: float,
    ) -> tuple[Finding, ...]:
        for quantity in (one for one in (left, side) if isinstance(one, Quantity)):
            self._refuse_what_was_not_logged(quantity)
        found = {task: _draws_of(left, side, task) for task in tasks}
        counted = [draws for draws in found.values() if draws is not None]
        of_tasks = (_finding(task, draws, judged, upwards, confidence) for task, draws in found.items())
        return (*of_tasks, _together(counted, len(found), judged, confidence))

    def _refuse_what_was_not_logged(self, quantity: Quantity) -> None:
        known = author_runs()[["metric", "method", "study"]].drop_duplicates().to_numpy()
        logged = {Quantity(str(metric), str(method), study=str(study)) for metric, method, study in known}
        if replace(of_the_model(quantity), reference="in_context", layers=WHOLE_DEPTH) not in logged:
            raise unknown_quantity(quantity, self.source, sorted(str(one) for one in logged))


def _finding(task: str, draws: _Draws | None, judged: Judge, upwards: bool | None, confidence: float) -> Finding:
    if draws is None:
        return Finding(task, "absent", note="not logged")
    interval, (left, right), runs = draws.interval(confidence), draws.means, len(draws.left)
    outcome = judged(interval, right)
    several = runs > 1 and interval.high > interval.low
    wanting = several and outcome == "unclear" and upwards is not None
    return Finding(
        task,
        outcome,
        left,
        right,
        interval.estimate,
        interval.low,
        interval.high,
        queries=runs,
        note=draws.note(upwards),
        needed=seeds_needed(interval, runs, confidence=confidence) if wanting else None,
        detectable=smallest_detectable(interval, confidence=confidence) if several else None,
    )


def _together(tasks: Sequence[_Draws], asked: int, judged: Judge, confidence: float) -> Finding:
    """The mean over tasks, each as heavy as another, with Student's interval; undecided where others could turn it."""
    if len(tasks) < 2:
        return Finding(EVERY_TASK, "unclear" if tasks else "absent", note="one task" if tasks else "no task was logged")
    left, right = (float(np.mean(means)) for means in zip(*(draws.means for draws in tasks), strict=True))
    interval = seeds_interval([float(np.mean(draws.differences)) for draws in tasks], confidence)
    bounds = interval.estimate, interval.low, interval.high
    runs = sum(len(draws.left) for draws in tasks)
    outcome = judged(interval, right) if len(tasks) == asked else "unclear"
    return Finding(EVERY_TASK, outcome, left, right, *bounds, queries=runs, note=over_tasks(len(tasks), asked))


def _draws_of(left: Quantity, side: Side, task: str) -> _Draws | None:
    """The draws that were run with both sides; None where there is none."""
    mine = _logged(left, task)
    other = _logged(side, task) if isinstance(side, Quantity) else {draw: [_Logged(float(side), 0.0)] for draw in mine}
    pairs = [_best_pair(mine[draw], other[draw]) for draw in mine if draw in other]
    return _Draws([one for one, _ in pairs], [two for _, two in pairs]) if pairs else None


def _best_pair(mine: list[_Logged], other: list[_Logged]) -> tuple[_Logged, _Logged]:
    """Of what was logged for one draw: two numbers of one log, else of one commit, else the first of each."""
    pairs = [(one, two) for one in mine for two in other]
    same_log = (pair for pair in pairs if pair[0].log == pair[1].log)
    same_run = (pair for pair in pairs if pair[0].run == pair[1].run)
    return next(same_log, next(same_run, pairs[0]))


def _logged(quantity: Quantity, task: str) -> dict[Draw, list[_Logged]]:
    """What was logged of a quantity, by draw, in the order of `RUNS`."""
    found: dict[Draw, list[_Logged]] = {}
    if quantity.reference == "in_context":
        for draw, number in _numbers(quantity, task):
            found.setdefault(draw, []).append(number)
    return found


def _numbers(quantity: Quantity, task: str) -> Iterator[tuple[Draw, _Logged]]:
    table = author_runs()
    found = table[(table["task"] == task) & (table["metric"] == quantity.metric)]
    found = found[(found["method"] == quantity.method) & (found["study"] == of_the_model(quantity).study)]
    if quantity.layers != WHOLE_DEPTH:
        first, last = (round(share * LAYERS) for share in quantity.layers)
        found = found[found["layer"].between(first, max(last, first + 1) - 1)]
    else:
        found = found[found["layer"].isna()]
    for log, lines in found.groupby("log", sort=False):
        line: pd.Series[Any] = lines.iloc[0]
        value, unit = float(lines["value"].mean()), float(lines["unit"].max())
        counts = [0 if pd.isna(line[name]) else int(line[name]) for name in ("counted", "of")]
        number = _Logged(value, unit, line["run"], line["precision"], str(log), *counts)
        yield (int(line["seed"]), int(line["permutation"])), number


def _mean(numbers: Sequence[_Logged]) -> float:
    return float(np.mean([number.value for number in numbers]))
