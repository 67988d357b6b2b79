"""Evidence of the authors' own runs: differences over their draws, with intervals where there are several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import EVERY_TASK
from icl_claims.evidence.asking import Numbers, TaskEvidence, over_tasks, quantities_in
from icl_claims.evidence.author_logs import LAYERS, RUNS, RUNS_FILE, author_runs
from icl_claims.questions import WHOLE_DEPTH, Compared, Near, Quantity, Side
from icl_claims.statistics.influence import Column
from icl_claims.statistics.intervals import Interval, seeds_interval
from icl_claims.statistics.power import seeds_needed, smallest_detectable
from icl_claims.statistics.proportions import newcombe, wilson

_Draw = tuple[int, int]
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
        left, right = (float(np.mean([number.value for number in side])) for side in (self.left, self.right))
        return left, right

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

    def note(self, question: Compared | Near) -> str:
        """How many draws there are and agree, and which runs they are from."""
        counts = " and ".join(dict.fromkeys(one.counts for one in (*self.left, *self.right) if one.counts))
        runs = len(self.left)
        if runs == 1:
            words = "one run" + (f" ({counts})" if counts else "")
        elif isinstance(question, Near):
            words = f"{runs} runs"
        else:
            agree = sum(difference > 0 if question.upwards else difference < 0 for difference in self.differences)
            words = f"{agree} of {runs} runs agree"
        both = (self.left, self.right)
        sides = [dict.fromkeys(f"{one.run}, {one.precision}" for one in side if one.run) for side in both]
        return f"{words}; " + " against ".join(dict.fromkeys("; ".join(side) for side in sides if side))


@dataclass(frozen=True)
class AuthorRunsEvidence(TaskEvidence):
    """The authors' logs and result files, of the 1.3B model.

    Attention outputs, random updates and SimAM of updates are those of the final results (half precision, three
    draws). Direct SimAM and Rec2FTP of standard finetuning exist in single precision and for one draw of four tasks
    only; direct SimAM of layer-causal finetuning in half precision and for one draw.
    """

    source: str = "author_runs"

    def numbers(self, question: Compared | Near, tasks: Sequence[str], confidence: float) -> Sequence[Numbers]:
        """Quantities over the draws of demonstrations that were run with both, one interval per task.

        Raises:
            ClaimError: No run holds such a quantity.
        """
        for quantity in quantities_in(*question.sides):
            self._refuse_what_was_not_logged(quantity)
        found = {task: _draws_of(*question.sides, task) for task in tasks}
        counted = [draws for draws in found.values() if draws is not None]
        of_tasks = (_numbers_of(task, draws, question, confidence) for task, draws in found.items())
        return [*of_tasks, _together(counted, len(found), confidence)]

    def provenance(self) -> dict[str, Any]:
        """What was logged: for each commit the precision, the tasks, and the seeds of its draws."""
        runs = []
        for run, lines in author_runs().groupby("run", sort=False):
            facts = {name: sorted({str(value) for value in lines[name]}) for name in ("precision", "task", "method")}
            seeds = sorted({int(seed) for seed in lines["seed"]})
            runs.append({"run": run, "what": RUNS[str(run)], **facts, "seeds": seeds})
        return {"file": f"fixtures/{RUNS_FILE}", "model": "fairseq dense 1.3B", "runs": runs}

    def _refuse_what_was_not_logged(self, quantity: Quantity) -> None:
        known = author_runs()[["metric", "method", "weights"]].drop_duplicates()
        logged = {(str(metric), str(method), str(weights)) for metric, method, weights in known.to_numpy()}
        if (quantity.metric.name, quantity.method.name, quantity.weights) not in logged:
            self._refuse(quantity, sorted(f"{metric} of {method} ({weights})" for metric, method, weights in logged))


def _numbers_of(task: str, draws: _Draws | None, question: Compared | Near, confidence: float) -> Numbers:
    if draws is None:
        return Numbers(task, absent="not logged")
    interval, runs = draws.interval(confidence), len(draws.left)
    several = runs > 1 and interval.high > interval.low
    return Numbers(
        task,
        *draws.means,
        interval,
        count=runs,
        note=draws.note(question),
        needed=seeds_needed(interval, runs, confidence=confidence) if several else None,
        detectable=smallest_detectable(interval, confidence=confidence) if several else None,
    )


def _together(tasks: Sequence[_Draws], asked: int, confidence: float) -> Numbers:
    """The mean over tasks, each as heavy as another, with Student's interval; undecided if others could turn it."""
    if not tasks:
        return Numbers(EVERY_TASK, absent="no task was logged")
    if len(tasks) < 2:
        return Numbers(EVERY_TASK, note="one task", undecided=True)
    left, right = (float(np.mean(means)) for means in zip(*(draws.means for draws in tasks), strict=True))
    interval = seeds_interval([float(np.mean(draws.differences)) for draws in tasks], confidence)
    runs, note = sum(len(draws.left) for draws in tasks), over_tasks(len(tasks), asked)
    return Numbers(EVERY_TASK, left, right, interval, runs, note, undecided=len(tasks) < asked)


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


def _logged(quantity: Quantity, task: str) -> dict[_Draw, list[_Logged]]:
    """What was logged of a quantity, by draw, in the order of `RUNS`."""
    found: dict[_Draw, list[_Logged]] = {}
    if quantity.reference is None:
        for draw, number in _numbers(quantity, task):
            found.setdefault(draw, []).append(number)
    return found


def _numbers(quantity: Quantity, task: str) -> Iterator[tuple[_Draw, _Logged]]:
    table = author_runs()
    found = table[(table["task"] == task) & (table["metric"] == quantity.metric.name)]
    found = found[(found["method"] == quantity.method.name) & (found["weights"] == quantity.weights)]
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
