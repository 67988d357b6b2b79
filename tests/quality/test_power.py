"""How often the rule of a claim about tasks errs, and how large a difference it finds.

Evidence is drawn as trials give it: six tasks, three draws of demonstrations each, 128 queries that all of them ask.
A task's difference is that of the claim; each draw of demonstrations adds its own, and each query, too.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import norm

from icl_claims.claims import GENERALLY, Comparison
from icl_claims.evidence.asking import Numbers
from icl_claims.methods import Finetuning
from icl_claims.metrics import sim_aou
from icl_claims.statistics.proportions import difference_interval
from icl_claims.statistics.significance import smallest_detectable
from icl_claims.tasks.catalogue import PAPERS_TASKS

ALPHA, POWER = 0.05, 0.9
DRAWS, FEWER_DRAWS, RESAMPLES = 2000, 500, 200
SEEDS, QUERIES = 3, 128

IT_IS_HIGHER = sim_aou(Finetuning()) > 0.0

pytestmark = pytest.mark.usefixtures("unchecked_shapes")


def cosines(generator, difference, of_seed=0.0):
    """Similarities of two methods, in which a query differs by .1 from another, half of it under every seed."""
    shared = generator.normal(size=(2, 1, QUERIES))
    noise = 0.1 * np.sqrt(0.5) * (shared + generator.normal(size=(2, SEEDS, QUERIES)))
    right, left = 0.2 + noise
    return list(left + difference + of_seed * generator.normal(size=(SEEDS, 1))), list(right)


def cosines_by_seed(generator, difference):
    """The same, where draws of demonstrations differ by a standard deviation of .01."""
    return cosines(generator, difference, of_seed=0.01)


def accuracies(generator, difference):
    """Right or wrong answers of two methods, 60 % of them right by the second; hard queries are hard for both."""
    hard = generator.normal(size=(SEEDS, QUERIES)) + generator.normal(size=QUERIES)
    return tuple(
        list((hard / 2 + np.sqrt(0.5) * generator.normal(size=hard.shape) < norm.ppf(share)) * 1.0)
        for share in (0.6 + difference, 0.6)
    )


def word(generator, columns, differences):
    """The verdict on "is higher on at least five of six tasks", where these are the true differences of the tasks."""
    findings = []
    for task, difference in zip(PAPERS_TASKS, differences, strict=True):
        interval = difference_interval(*columns(generator, difference), seed=0, resamples=RESAMPLES)
        findings.append(Numbers(task, interval=interval).finding(IT_IS_HIGHER))
    return GENERALLY.decide(Comparison("whether it is so", tuple(findings))).word


def shares(columns, differences, draws):
    words = Counter(word(np.random.default_rng(number), columns, differences) for number in range(draws))
    return {name: count / draws for name, count in words.items()}


@pytest.mark.parametrize("columns", [cosines, cosines_by_seed, accuracies])
def test_a_claim_is_hardly_ever_supported_where_no_task_differs(columns):
    assert shares(columns, [0.0] * 6, DRAWS).get("supported", 0.0) <= ALPHA


@pytest.mark.parametrize("columns", [cosines, accuracies])
def test_one_task_too_few_hardly_ever_supports_a_claim(columns):
    """The worst case: four tasks differ beyond doubt, and one of two that do not must come out by chance.

    It holds for the demonstrations that were drawn: an interval over queries does not tell of others.
    """
    worst = shares(columns, [0.3] * 4 + [0.0] * 2, DRAWS)
    assert worst["supported"] <= ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / DRAWS)


@pytest.mark.parametrize(("columns", "difference"), [(cosines, 0.04), (cosines_by_seed, 0.05), (accuracies, 0.15)])
def test_a_difference_of_this_size_on_every_task_is_found(columns, difference):
    """.04 of a cosine, .05 where demonstrations matter as much, 15 points of accuracy."""
    assert shares(columns, [difference] * 6, FEWER_DRAWS)["supported"] >= POWER


@pytest.mark.parametrize(("columns", "difference"), [(cosines, 0.04), (accuracies, 0.15)])
def test_a_difference_of_this_size_the_other_way_refutes(columns, difference):
    assert shares(columns, [-difference] * 6, FEWER_DRAWS)["refuted"] >= POWER


@pytest.mark.parametrize("columns", [cosines, accuracies])
def test_the_detectable_difference_is_found_on_4_of_5_draws(columns):
    spans = [difference_interval(*columns(np.random.default_rng(n), 0.0), seed=0) for n in range(20)]
    least = np.mean([smallest_detectable(span) for span in spans])
    found = [
        difference_interval(*columns(np.random.default_rng(n), least), seed=0, resamples=RESAMPLES).excludes_below(0.0)
        for n in range(DRAWS)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)
