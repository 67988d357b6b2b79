"""Intervals over draws of demonstrations hold the truth as often as they say, of other draws and other queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from icl_claims.evidence.numbers import judge
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics import sim_aou
from icl_claims.questions import Near, NotAbove
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.estimates import ERROR
from icl_claims.statistics.replicates import Replicates
from tests.quality.looks import LOOKS, TASKS, Looked, by_student, normal, rarely, right_answers, skewed

REPETITIONS, DRAWS = 2000, 16
LEAST = 1 - rarely(0.06, REPETITIONS * TASKS)
"""94 %, and as much below as chance may give."""
FINETUNING, CAUSAL = sim_aou(Finetuning()), sim_aou(LayerCausal())

pytestmark = pytest.mark.usefixtures("unchecked_shapes")


def covered(looked, critical=None):
    """Whether the mean of 0 lies in the interval of each task at each look."""
    how = {} if critical is None else {"critical": critical}
    return np.abs(looked.means) <= looked.half_width(ERROR, **how)


def at_looks(hit):
    return [hit[..., many - LOOKS[0]].mean() for many in (8, 16, 24)]


@pytest.mark.parametrize("ratio", [0, 1, 3, 7])
@pytest.mark.parametrize("crossed", [False, True])
def test_the_mean_of_a_task_over_all_draws_and_queries(ratio, crossed):
    """At one look, and at all of them from 2 to 40.

    Measured: 99.6 and 97.6 %; where all draws ask the same queries 95.9 and 94.1 % at the least.
    """
    drawn = normal(np.random.default_rng(10), REPETITIONS, ratio, crossed=crossed)
    hit = covered(Looked.at(drawn, same_queries=crossed))
    assert min(at_looks(hit)) >= 0.94
    assert hit.all(axis=-1).mean() >= LEAST


@pytest.mark.parametrize("kind", [skewed, right_answers])
def test_the_mean_of_skewed_draws(kind):
    """Both sides together; on the side of the tail it errs more (see test_power.py). Measured: 95.4 and 96.4 %."""
    hit = covered(Looked.at(kind(np.random.default_rng(11), REPETITIONS)))
    assert min(at_looks(hit)) >= 0.94
    assert hit.all(axis=-1).mean() >= LEAST


def test_student_is_exact_at_one_look_and_wrong_over_all():
    hit = covered(Looked.at(normal(np.random.default_rng(12), REPETITIONS, 3)), by_student)
    assert at_looks(hit) == pytest.approx([0.95] * 3, abs=0.01)
    assert hit.all(axis=-1).mean() < 0.8


def test_the_spread_of_draws_alone_does_not_tell_of_other_queries():
    """The same queries for every draw, taken for queries of their own."""
    looked = Looked.at(normal(np.random.default_rng(13), REPETITIONS, 1, crossed=True), same_queries=True)
    assert covered(replace(looked, query_errors=0.0, queries=0))[..., -1].mean() < 0.9


# Ratios of sums


GRID = norm.ppf((np.arange(20_000) + 0.5) / 20_000)


def shares(generator, correct, counting):
    """Whether queries agree, by draw; in draws of which more queries count, others are right as well."""
    of_draw = generator.normal(size=(DRAWS, 1))
    values = (generator.random((DRAWS, 16)) < expit(correct + of_draw)) * 1.0
    return np.where(generator.random((DRAWS, 16)) < expit(counting + of_draw), values, np.nan)


def truth(correct, counting):
    weights = expit(counting + GRID)
    return (weights * expit(correct + GRID)).sum() / weights.sum()


def ratios(generator):
    sides = [shares(generator, *of_side) for of_side in ((0.0, -0.5), (-0.5, 0.5))]
    return Replicates.of_columns([(draw, 0) for draw in range(DRAWS)], *map(list, sides))


def share_held(looked_at):
    wanted = truth(0.0, -0.5) - truth(-0.5, 0.5)
    drawn = (ratios(np.random.default_rng(number)) for number in range(REPETITIONS))
    found = [replace(one, looked_at=looked_at).contrast().interval() for one in drawn]
    return np.mean([one.low <= wanted <= one.high for one in found])


def test_differences_of_ratios_of_sums():
    assert share_held(looked_at=True) >= 0.94
    assert share_held(looked_at=False) == pytest.approx(0.95, abs=0.02)


def test_means_of_the_ratios_of_draws_are_about_something_else():
    """What a draw says counts as often as its queries do, so the mean of their ratios is off."""
    drawn = [shares(np.random.default_rng(number), 0.0, -0.5) for number in range(500)]
    assert np.mean([np.nanmean(one) for one in drawn]) == pytest.approx(truth(0.0, -0.5), abs=0.01)
    assert truth(0.0, -0.5) - expit(GRID).mean() > 0.05


# One more draw


def test_the_number_of_another_draw():
    hit = []
    for number in range(REPETITIONS):
        *values, other = np.random.default_rng(number).normal(size=9)
        replicates = Replicates(tuple((draw, 0) for draw in range(8)), np.array(values), np.zeros(8))
        expected = replicates.next_one()
        hit.append(expected.low <= other <= expected.high)
    assert np.mean(hit) == pytest.approx(0.95, abs=0.015)


# As large as another, and not above it


def holds_and_fails(question, difference, looked_at):
    """How often a question about sides of which the right one is 1 holds, and fails, with sixteen draws."""
    errors, words = Errors(0.05, 0.05), []
    for number in range(REPETITIONS):
        right, own = 1 + 0.3 * np.random.default_rng(number).normal(size=(2, DRAWS))
        draws = tuple((draw, 0) for draw in range(DRAWS))
        left = difference * right + own
        judged = judge(question, Replicates(draws, left, right, looked_at), errors)
        words.append((judged.holds <= errors.holds, judged.fails <= errors.fails))
    return np.mean(words, axis=0)


@pytest.mark.parametrize("looked_at", [True, False])
@pytest.mark.parametrize("question", [Near(FINETUNING, CAUSAL, within=0.5), NotAbove(FINETUNING, CAUSAL, within=0.5)])
def test_a_difference_at_the_margin_passes_as_often_as_it_may(question, looked_at):
    """The margin is a share of the other side, and moves with it; at the margin either word may be wrong."""
    holds, fails = holds_and_fails(question, 0.5, looked_at)
    assert holds <= rarely(0.05, REPETITIONS)
    assert looked_at or holds == pytest.approx(0.05, abs=0.015)
    if isinstance(question, Near):
        assert fails <= rarely(0.025, REPETITIONS)


@pytest.mark.parametrize("question", [Near(FINETUNING, CAUSAL, within=0.5), NotAbove(FINETUNING, CAUSAL, within=0.5)])
def test_equal_sides_hardly_ever_fail(question):
    holds, fails = holds_and_fails(question, 0.0, looked_at=True)
    assert holds >= 0.5
    assert fails <= rarely(0.05, REPETITIONS)
