"""Every interval covers the truth about as often as it says: within two points, over thousands of draws.

Columns are of the kinds that trials give: cosines, roughly normal or skewed, and right or wrong answers of two methods
to the same queries, some queries being harder than others under every seed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.methods import Finetuning
from icl_claims.metrics import gradient_norm
from icl_claims.statistics.intervals import (
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    hierarchical_difference,
    prediction_interval,
    seeds_interval,
)
from icl_claims.statistics.proportions import newcombe, tango, wilson
from icl_claims.statistics.significance import CONFIDENCE_FOR_EQUIVALENCE, equivalence, non_superiority
from tests.fast.stored_trials import made_up_result

DRAWS, RESAMPLES = 2000, 500
NOMINAL = pytest.approx(0.95, abs=0.02)

pytestmark = pytest.mark.usefixtures("unchecked_shapes")

every_size = pytest.mark.parametrize("queries", [40, 128])
some_seeds = pytest.mark.parametrize("seeds", [1, 3])


def coverage(draw):
    """How often an interval holds the truth; `draw` takes a generator and gives both."""
    drawn = [draw(np.random.default_rng(number)) for number in range(DRAWS)]
    return np.mean([interval.low <= truth <= interval.high for interval, truth in drawn])


def difficulties(generator, seeds, queries, shared=0.6):
    """One standard normal number for each seed and query; queries keep a share of it under every seed."""
    own = generator.normal(size=(seeds, queries))
    return np.sqrt(shared) * generator.normal(size=queries) + np.sqrt(1 - shared) * own


COSINES = {
    "roughly normal": lambda z: np.tanh(0.3 + 0.15 * z),
    "close to one": lambda z: np.tanh(1.5 + 0.6 * z),
    "close to zero with a tail": lambda z: -0.1 * norm.logsf(z),
}
GRID = norm.ppf((np.arange(100_000) + 0.5) / 100_000)


# Means


@every_size
@some_seeds
@pytest.mark.parametrize("kind", COSINES)
def test_means_of_cosines(kind, seeds, queries):
    cosine, truth = COSINES[kind], COSINES[kind](GRID).mean()

    def draw(generator):
        columns = list(cosine(difficulties(generator, seeds, queries)))
        return bootstrap_mean(columns, seed=0, resamples=RESAMPLES), truth

    assert coverage(draw) == NOMINAL


@every_size
def test_differences_of_cosines_that_count_on_other_queries(queries):
    """A fifth of the queries does not count on the left, and another fifth on the right."""

    def draw(generator):
        sides = [np.tanh(0.3 + 0.3 * difficulties(generator, 3, queries)) for _ in range(2)]
        for side in sides:
            side[generator.random(side.shape) < 0.2] = np.nan
        return bootstrap_difference(*map(list, sides), seed=0, resamples=RESAMPLES), 0.0

    assert coverage(draw) == NOMINAL


def test_seeds_that_ask_the_same_queries_are_not_independent():
    def draw(generator):
        columns = difficulties(generator, 3, 40)
        return bootstrap_mean([columns.flatten()], seed=0, resamples=RESAMPLES), 0.0

    assert coverage(draw) < 0.9


# Proportions. Of so few queries there are few proportions, and at any one of them every interval is a little off; they
# are held to what they say over the proportions that trials give.


def answers(generator, seeds, queries, right, alike):
    """Whether each of several methods answers right, as often as `right` says; a hard query is hard for all."""
    hard = difficulties(generator, seeds, queries)
    return [
        list((np.sqrt(alike) * hard + np.sqrt(1 - alike) * generator.normal(size=hard.shape) < norm.ppf(share)) * 1.0)
        for share in right
    ]


@every_size
@some_seeds
def test_proportions(seeds, queries):
    def draw(generator):
        share = generator.uniform(0.3, 0.95)
        (columns,) = answers(generator, seeds, queries, [share], alike=0.5)
        return wilson(columns), share

    assert coverage(draw) == NOMINAL


@every_size
@some_seeds
def test_differences_of_proportions_on_the_same_queries(seeds, queries):
    def draw(generator):
        left, right = generator.uniform(0.4, 0.9, size=2)
        return tango(*answers(generator, seeds, queries, [left, right], alike=0.5)), left - right

    assert coverage(draw) == NOMINAL


@every_size
@some_seeds
def test_differences_of_proportions_on_other_queries(seeds, queries):
    def draw(generator):
        left, right = generator.uniform(0.2, 0.8, size=2)
        (one,), (other,) = (answers(generator, seeds, queries, [share], alike=0.5) for share in (left, right))
        return newcombe(one, other), left - right

    assert coverage(draw) == NOMINAL


@every_size
@pytest.mark.parametrize("of_queries", [(0.2, 0.6, 0.05, 0.15), (0.5, 0.05, 0.2, 0.25)])
def test_shares_of_changes_of_which_a_query_has_one_or_two(queries, of_queries):
    """Unchanged queries, shared changes, changes of one method, and queries that two methods change differently."""
    rows = np.array([[np.nan, np.nan], [1.0, np.nan], [0.0, np.nan], [0.0, 0.0]])
    _, shared, alone, apart = of_queries

    def draw(generator):
        changes = rows[generator.choice(len(rows), queries, p=of_queries)]
        return wilson(changes), shared / (shared + alone + 2 * apart)

    assert coverage(draw) == NOMINAL


def test_taking_two_changes_of_a_query_for_independent_is_caught():
    rows = np.array([[1.0, np.nan], [0.0, 0.0]])

    def draw(generator):
        return wilson(rows[generator.choice(2, 128, p=[0.8, 0.2])].ravel()), 2 / 3

    assert coverage(draw) < 0.9


# Runs and tasks


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_means_over_seeds(seeds):
    assert coverage(lambda generator: (seeds_interval(list(generator.normal(size=seeds))), 0.0)) == NOMINAL


@pytest.mark.parametrize(("tasks", "of_task"), [(6, 0.1), (6, 0.0), (3, 0.1)])
def test_means_over_tasks(tasks, of_task):
    def draw(generator):
        truths = of_task * generator.normal(size=tasks)
        left = [
            list(truth + 0.03 * generator.normal(size=(3, 1)) + 0.1 * difficulties(generator, 3, 40))
            for truth in truths
        ]
        return hierarchical_difference(left, [[np.zeros(40)] * 3] * tasks, seed=0, resamples=200), 0.0

    assert coverage(draw) == NOMINAL


@pytest.mark.parametrize("of_seed", [0.0, 0.01, 0.05])
def test_the_number_of_another_run(of_seed):
    def draw(generator):
        table = of_seed * generator.normal(size=(4, 1)) + 0.1 * difficulties(generator, 4, 128, shared=0.5)
        return prediction_interval(list(table[:3])), table[3].mean()

    assert coverage(draw) == NOMINAL


# Equivalence


@every_size
def test_a_difference_at_the_margin_passes_once_in_twenty_draws(queries):
    def called(generator):
        columns = [0.1 + 0.2 * generator.normal(size=queries)]
        found = bootstrap_mean(columns, seed=0, confidence=CONFIDENCE_FOR_EQUIVALENCE, resamples=RESAMPLES)
        return equivalence(found, margin=0.1) == "equivalent"

    assert np.mean([called(np.random.default_rng(number)) for number in range(DRAWS)]) == pytest.approx(0.05, abs=0.02)


# Not higher


@every_size
@pytest.mark.parametrize(
    ("difference", "least", "most"),
    [
        (-0.1, {"not above": 0.99}, {"above": 0.01}),
        (0.0, {"not above": 0.75}, {"above": 0.025}),
        (0.1, {}, {"not above": 0.025}),
        (0.2, {"above": 0.99}, {"not above": 0.01}),
    ],
)
def test_not_higher_errs_once_in_forty_draws_on_either_side(queries, difference, least, most):
    """At a difference of 0 it is hardly ever refuted, at the margin of .1 hardly ever supported."""

    def called(generator):
        columns = [difference + 0.2 * generator.normal(size=queries)]
        return non_superiority(bootstrap_mean(columns, seed=0, resamples=RESAMPLES), margin=0.1)

    words = Counter(called(np.random.default_rng(number)) for number in range(DRAWS))
    assert all(words[word] >= share * DRAWS for word, share in least.items())
    assert all(words[word] <= (share + 0.01) * DRAWS for word, share in most.items())


# Steps of one descent


def test_steps_that_follow_from_one_another_are_one_number():
    """The steps of a descent wander, each correlated by .84 with the one before; three descents cover their mean."""
    asked = (gradient_norm(Finetuning()) > 0.0).on("sst2")

    def draw(generator):
        descents = generator.normal(size=(3, 16, 1))
        for step in range(1, 16):
            descents[:, step] = 0.84 * descents[:, step - 1] + np.sqrt(1 - 0.84**2) * descents[:, step]
        results = [replace(made_up_result(), gradient_norms={"finetuning": steps}) for steps in descents]
        (found,) = TrialsEvidence({"main": {"sst2": results}}).ask(asked).tasks
        return Interval(found.difference, found.low, found.high), 0.0

    assert coverage(draw) == NOMINAL
