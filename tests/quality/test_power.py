"""How often the words of a claim about tasks are wrong, and how large a difference they find.

A claim holds on at least five of six tasks. It is asked after every further draw of demonstrations, from two to forty,
and stopped as soon as the rule says supported or refuted. The worst cases are at its boundary: one task too few holds,
the others beyond doubt; or it holds, and one task fails beyond doubt. A difference of exactly 0 counts as holding where
"refuted" is the error.
"""

from __future__ import annotations

from itertools import islice, takewhile

import numpy as np
import pytest

from icl_claims.claims import GENERALLY, Comparison, TaskRule
from icl_claims.evidence.numbers import Numbers
from icl_claims.evidence.rounds import looks
from icl_claims.methods import Finetuning
from icl_claims.metrics import sim_aou
from icl_claims.statistics.error_rates import ALLOWED, Errors
from icl_claims.statistics.replicates import Replicates
from icl_claims.tasks.catalogue import PAPERS_TASKS
from tests.quality.looks import LOOKS, Looked, by_student, normal, rarely, right_answers, skewed, words

REPETITIONS, RESAMPLES = 4000, 200
RATIOS = (0, 1, 3, 7)
CLEARLY = 1000.0
ONE_TOO_FEW = (CLEARLY,) * 4 + (0.0,) * 2
JUST_ENOUGH = (0.0,) * 5 + (-CLEARLY,)
NONE_DIFFERS = (0.0,) * 6
IT_IS_HIGHER = sim_aou(Finetuning()) > 0.0

pytestmark = pytest.mark.usefixtures("unchecked_shapes")


def false_words(looked, **how):
    """How often it is supported with one task too few; refuted with just enough; and refuted where none differs."""
    last = int(LOOKS[-1])
    supported = words(looked, ONE_TOO_FEW, GENERALLY, **how).at(last)[0]
    return supported, *(words(looked, truth, GENERALLY, **how).at(last)[1] for truth in (JUST_ENOUGH, NONE_DIFFERS))


def made(ratio, *, seed=0, repetitions=REPETITIONS, crossed=False, alike=False):
    drawn = normal(np.random.default_rng(seed), repetitions, ratio, crossed=crossed, alike=alike)
    return Looked.at(drawn, same_queries=crossed)


# The running sums say what the package says


def word(columns, rule, *, same_queries):
    """The verdict on columns [tasks, draws, queries], by the package."""
    findings = []
    for task, of_task in zip(PAPERS_TASKS, columns, strict=True):
        draws = [(seed, 0) for seed in range(len(of_task))]
        replicates = Replicates.of_columns(draws, list(of_task), 0.0, same_queries=same_queries)
        findings.append(Numbers(task, replicates=replicates).finding(IT_IS_HIGHER, rule.errors))
    return rule.decide(Comparison("whether it is so", tuple(findings))).word


@pytest.mark.parametrize(("crossed", "sample"), [(False, 12), (True, 2)])
@pytest.mark.parametrize("effects", [(3.0,) * 6, (-2.0,) * 6, (9.0,) * 4 + (0.0,) * 2])
def test_running_sums_say_what_the_package_says(effects, crossed, sample):
    effects = tuple((3 if crossed else 1) * effect for effect in effects)
    drawn = list(islice(normal(np.random.default_rng(1), sample, 2, crossed=crossed), 40))
    looked = Looked.at(iter(drawn), same_queries=crossed)
    columns = np.stack(drawn, axis=2) + np.array(effects)[:, None, None]
    said = set()
    for many in (5, 16, 40) if crossed else (2, 5, 8, 12, 16, 24, 40):
        fast = words(looked, effects, GENERALLY, first=many)
        for number in range(sample):
            supported, refuted = (bool(of[number, many - 2]) for of in (fast.supported, fast.refuted))
            wanted = "supported" if supported else "refuted" if refuted else "inconclusive"
            assert word(columns[number, :, :many], GENERALLY, same_queries=crossed) == wanted
            said.add(wanted)
    assert said == {"inconclusive", *({"supported"} if min(effects) > 0 else {"refuted"} if max(effects) < 0 else ())}


# False words


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("alike", [False, True])
def test_words_are_hardly_ever_wrong_where_every_draw_asks_its_own_queries(ratio, alike):
    """Also where all tasks are one. Measured: up to 2.3 % supported, 2.5 % refuted."""
    assert max(false_words(made(ratio, alike=alike))) <= rarely(ALLOWED, REPETITIONS)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("alike", [False, True])
def test_words_are_hardly_ever_wrong_where_all_draws_ask_the_same_queries(ratio, alike):
    """The part of the queries, too, is valid at any look, since further draws move it. Measured: up to 1.7 %."""
    assert max(false_words(made(ratio, crossed=True, alike=alike))) <= rarely(ALLOWED, REPETITIONS)


@pytest.mark.parametrize(("turned", "measured"), [(False, (0.005, 0.106)), (True, (0.083, 0.003))])
def test_skewed_draws_make_words_wrong_more_often(turned, measured):
    """A t test is no longer one: with a skewness of 1 words are wrong in up to 10.6 %, beyond the 5 % that are allowed.

    Measured in 20000 repetitions: 10.6 % refuted where the tail is above, 8.3 % supported where it is below; of
    skewnesses of 1/2 and 2/3 (in 12000) 4.9 and 6.5 % refuted. From sixteen draws on it is 6.0 and 4.2 % for 1.
    """
    looked = Looked.at(skewed(np.random.default_rng(2), REPETITIONS))
    found = false_words(looked.turned if turned else looked)
    assert all(share <= rarely(of, REPETITIONS) for share, of in zip(found, measured, strict=False))


@pytest.mark.parametrize(("turned", "measured"), [(False, (0.065, 0.006)), (True, (0.01, 0.067))])
def test_right_answers_make_words_wrong_a_little_more_often(turned, measured):
    """Nine of ten answers are right, so that shares of sixteen are skewed by .67 and tied.

    Measured in 20000 repetitions: 6.4 % supported, and 6.6 % refuted on the other side.
    """
    looked = Looked.at(right_answers(np.random.default_rng(3), REPETITIONS))
    found = false_words(looked.turned if turned else looked)
    assert all(share <= rarely(of, REPETITIONS) for share, of in zip(found, measured, strict=False))


# Without what keeps words right they are wrong


@pytest.mark.parametrize("crossed", [False, True])
def test_an_interval_for_one_look_that_is_looked_at_again_is_caught(crossed):
    """Measured at a ratio of 3: 29 % supported and more, 17 % where all ask the same queries."""
    supported, *_ = false_words(made(3, crossed=crossed), critical=by_student)
    assert supported > 0.12


def test_tasks_that_are_not_corrected_for_the_rule_that_counts_them_are_caught():
    """At least four of six: three hold, and one of three others must come out by chance.

    At one look, since a sequence that ends after forty draws has not spent all of its error.
    """
    rule, truth = TaskRule(4), (CLEARLY,) * 3 + (0.0,) * 3
    one_look = {"critical": by_student, "first": 16}
    looked = made(3, seed=4, repetitions=3 * REPETITIONS)
    uncorrected, corrected = (
        words(looked, truth, rule, errors=errors, **one_look).at(16)[0] for errors in (Errors(), rule.errors)
    )
    assert uncorrected > rarely(ALLOWED, 3 * REPETITIONS) >= corrected


# Power


def by_queries_alone(ratio, effects, many, *, seed=5, repetitions=1000):
    """How often it is supported by intervals of 95 % that resample queries, where draws are averaged beforehand."""
    drawn = islice(normal(np.random.default_rng(seed), repetitions, ratio, crossed=True), many)
    columns = sum(drawn) / many + np.array(effects)[:, None]
    weights = np.random.default_rng(0).multinomial(16, [1 / 16] * 16, size=RESAMPLES).T / 16
    low = np.quantile(columns @ weights, 0.025, axis=-1)
    return float(((low > 0).sum(axis=1) >= GENERALLY.at_least).mean())


def power_and_false_support(ratio=3):
    """Shares of "supported": by draws of own queries, of the same queries, and by queries alone.

    Each where all six tasks differ by the standard deviation of a draw, and with one task too few.
    """
    own, same = (made(ratio, seed=5, crossed=crossed) for crossed in (False, True))
    table = {}
    for name, effects in (("power", (float(ratio),) * 6), ("false", ONE_TOO_FEW)):
        for many in (8, 16, 24):
            new = (words(looked, effects, GENERALLY).at(many)[0] for looked in (own, same))
            table[name, many] = (*new, by_queries_alone(ratio, effects, many))
    return table


def test_a_difference_of_the_size_of_a_draw_is_found(record_property):
    """Measured: 0, 30 and 88 % supported with 8, 16 and 24 draws; see `power_and_false_support`."""
    table = power_and_false_support()
    record_property("supported: own queries, same queries, by queries alone", table)
    assert table["power", 24][0] >= 0.8
    assert table["power", 8][0] <= table["power", 16][0] <= table["power", 24][0]
    for many in (8, 16, 24):
        *new, old = table["false", many]
        assert max(new) <= rarely(ALLOWED, REPETITIONS) < old


def test_a_difference_the_other_way_refutes():
    found = words(made(3, seed=6), (-3.0,) * 6, GENERALLY).at(24)
    assert found[0] == 0.0
    assert found[1] >= 0.95


# Rounds of draws


def test_rounds_save_a_third_of_the_draws_of_a_fixed_plan():
    """Six kinds of claims, whose tasks differ by 0 to 8 standard deviations of a draw; looked at as rounds are.

    Measured: 64.5 % decided with 15.6 draws in the mean, 64.1 % with 24 for each. A plan that is fixed beforehand and
    looked at once, with Student's intervals, decides as many with 13; it can neither go on nor stop at what it sees.
    """
    looked, most, decided, used = made(3, seed=7, repetitions=600), 24, [], []
    planned = [*takewhile(lambda draws: draws <= most, looks(most))]
    for effect in (0.0, 1.5, 3.0, 6.0, 12.0, 24.0):
        at_look = [words(looked, (effect,) * 6, GENERALLY, first=draws) for draws in planned]
        said = np.array(
            [(one.supported | one.refuted)[:, n - LOOKS[0]] for one, n in zip(at_look, planned, strict=True)]
        )
        decided.append((said.any(axis=0).mean(), said[-1].mean()))
        used.append(np.where(said.any(axis=0), np.array(planned)[said.argmax(axis=0)], most).mean())
    rounds, fixed = np.mean(decided, axis=0)
    assert rounds >= fixed > 0.6
    assert np.mean(used) <= most * 2 / 3
