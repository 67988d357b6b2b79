"""The GRIM test of printed percentages: whether whole numbers of queries give them all, by integer programming.

Source: Brown and Heathers 2017, The GRIM Test, for means of integers; here many percentages share their integers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import lcm
from typing import Literal

import numpy as np
import scipy
from jaxtyping import Float

from icl_claims.experiments.studies import IN_CONTEXT, STANDARD, ZERO_SHOT
from icl_claims.metrics import accuracy, rpa, rpa_correct, rpa_incorrect

Cell = tuple[str, str]
"""The names of a metric and of a method."""
QUERIES = {"sst2": 872, "sst5": 1101, "mr": 1066, "subj": 2000, "agnews": 2000, "cb": 56}
"""How many queries the authors' logs say each task was asked."""
Reading = Literal["rounded", "cut", "cut or rounded"]
READINGS: dict[Reading, tuple[Fraction, Fraction]] = {
    "rounded": (Fraction(-1, 2), Fraction(1, 2)),
    "cut": (Fraction(0), Fraction(1)),
    "cut or rounded": (Fraction(-1, 2), Fraction(1)),
}
"""How far below and above a figure the number may lie, in units of its last place; the strictest readings first."""
Said = tuple[int, int, int]
"""What zero-shot, in-context learning and finetuning say: 0 for the true label, 1, 2, 3 for different wrong ones."""
_Row = Float[np.ndarray, " kinds"]


@dataclass(frozen=True)
class Counts:
    """Numbers of queries that give every printed percentage of a task.

    Args:
        reading: The strictest way of printing under which there are such numbers.
        of_kinds: Number of queries of each kind, in one solution.
        right: Numbers of right answers in it, by zero-shot, in-context learning and finetuning.
        corrections: Changes to the true label that both make, and that either makes.
        errors: Changes to one wrong label that both make, and all changes to wrong labels.
        alone: Whether no other numbers right, of corrections and of errors would do.
    """

    reading: Reading
    of_kinds: Mapping[Said, int]
    right: tuple[int, ...]
    corrections: tuple[int, ...]
    errors: tuple[int, ...]
    alone: bool


def counts_behind(printed: Mapping[Cell, str], queries: int, labels: int) -> Counts | None:
    """The numbers of queries behind the accuracies and the RPA of one task.

    A change counts with its new label, as in the authors' code: a query that both methods change to different labels
    is two changes.

    Args:
        printed: Each figure in percent, as text with the digits that were printed.
        queries: Number of queries asked.
        labels: Number of the task's labels.

    Returns:
        One solution under the strictest reading that has any; None where no reading has.
    """
    kinds = list(_kinds(labels))
    for reading in READINGS:
        constraints = _constraints(printed, queries, kinds, reading)
        solution = _solve(constraints, np.zeros(len(kinds)))
        if solution is not None:
            seen = _counted(kinds)
            right, corrections, errors = (tuple(int(row @ solution) for row in rows) for rows in seen.values())
            alone = all(_is_fixed(constraints, row) for rows in seen.values() for row in rows)
            of_kinds = {kind: int(number) for kind, number in zip(kinds, solution, strict=True)}
            return Counts(reading, of_kinds, right, corrections, errors, alone)
    return None


def _kinds(labels: int) -> Iterator[Said]:
    """Every kind of query, wrong labels being numbered in the order in which they are given."""
    for zero_shot, in_context, finetuned in product(range(2), range(min(labels, 3)), range(min(labels, 4))):
        if in_context <= zero_shot + 1 and finetuned <= max(zero_shot, in_context) + 1:
            yield zero_shot, in_context, finetuned


def _counted(kinds: list[Said]) -> dict[str, list[_Row]]:
    """What is counted, as rows to be multiplied with the number of queries of each kind."""
    zero_shot, in_context, finetuned = np.array(kinds).T
    by_context, by_finetuning = in_context != zero_shot, finetuned != zero_shot
    shared = by_context & by_finetuning & (in_context == finetuned)
    corrected, fixed = by_context & (in_context == 0), by_finetuning & (finetuned == 0)
    changes = by_context.astype(float) + by_finetuning - shared
    corrections = corrected.astype(float) + fixed - (corrected & fixed)
    shared_corrections = (corrected & fixed).astype(float)
    return {
        "right": [(answers == 0).astype(float) for answers in (zero_shot, in_context, finetuned)],
        "corrections": [shared_corrections, corrections],
        "errors": [shared - shared_corrections, changes - corrections],
    }


def _constraints(
    printed: Mapping[Cell, str], queries: int, kinds: list[Said], reading: Reading
) -> scipy.optimize.LinearConstraint:
    """Every figure as two inequalities between whole numbers, and the number of queries."""
    counted, everything = _counted(kinds), np.ones(len(kinds))
    (zero_shot, in_context, finetuned), corrections, errors = counted.values()
    shares = {
        (accuracy.name, ZERO_SHOT.name): (zero_shot, everything),
        (accuracy.name, IN_CONTEXT.name): (in_context, everything),
        (accuracy.name, STANDARD.name): (finetuned, everything),
        (rpa.name, STANDARD.name): (corrections[0] + errors[0], corrections[1] + errors[1]),
        (rpa_correct.name, STANDARD.name): (corrections[0], corrections[1]),
        (rpa_incorrect.name, STANDARD.name): (errors[0], errors[1]),
    }
    rows, least, most = [everything], [float(queries)], [float(queries)]
    for cell, text in printed.items():
        part, whole = shares[cell]
        unit, (below, above) = Fraction(1, 10 ** len(text.partition(".")[2])), READINGS[reading]
        low, high = ((Fraction(text) + bound * unit) / 100 for bound in (below, above))
        scale = lcm(low.denominator, high.denominator)
        rows += [scale * part - int(scale * low) * whole, scale * part - int(scale * high) * whole]
        least, most = [*least, 0.0, -np.inf], [*most, np.inf, -1.0]
    return scipy.optimize.LinearConstraint(np.array(rows), least, most)


def _solve(constraints: scipy.optimize.LinearConstraint, least: _Row) -> _Row | None:
    """Whole numbers within the constraints for which `least` times them is least; None where there are none."""
    whole, at_least_none = np.ones(len(least), dtype=int), scipy.optimize.Bounds(0, np.inf)
    found = scipy.optimize.milp(least, constraints=constraints, integrality=whole, bounds=at_least_none)
    return None if found.x is None else np.round(found.x)


def _is_fixed(constraints: scipy.optimize.LinearConstraint, row: _Row) -> bool:
    """Whether every solution counts the same."""
    least, most = _solve(constraints, row), _solve(constraints, -row)
    return least is not None and most is not None and int(row @ least) == int(row @ most)
