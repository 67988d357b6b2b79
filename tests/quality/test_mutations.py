"""A change of the evidence changes the verdicts of the claims about what was changed, and not a digit of any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from claims.quantities import FT, ICL, LC, ZSL
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import AnotherQuerysUpdate, GaussianUpdate
from icl_claims.metrics import RANDOM_UPDATE, PredictionMetric, accuracy, sim_am, sim_aou
from icl_claims.tasks.catalogue import TASKS
from tests.quality.data_claims import data_claims

pytestmark = pytest.mark.usefixtures("unchecked_shapes")

QUERIES, LAYERS, DRAWS = 60, 4, 20

ABOUT_FT_AND_RANDOM = {"ft-aou-above-random"}
ABOUT_FT_SCORES = {"ft-am-rises", "lc-am-lower"}
ABOUT_LAYER_CAUSAL = {"lc-aou-5of6", "lc-am-lower"}
ABOUT_PREDICTIONS = {
    *(
        "ft-icl-differ",
        "icl-beats-ft-acc",
        "icl-covers-ft",
        "icl-more-changes",
        "unique-majority",
        "rpa-correct-higher",
    ),
}
ON_FOUR_TASKS = {"ft-icl-differ", "unique-majority"}
AOU_FT, AOU_LC, AOU_RANDOM = (Entry.of(sim_aou(method)) for method in (FT, LC, RANDOM_UPDATE))
AM_FT = Entry.of(sim_am(FT))
HOLDING = ABOUT_FT_AND_RANDOM | ABOUT_FT_SCORES | ABOUT_LAYER_CAUSAL | ABOUT_PREDICTIONS

NULLS = [null(method) for null in (GaussianUpdate, AnotherQuerysUpdate) for method in (FT, LC)]
SIMILARITIES = {
    Entry.of(quantity): mean
    for quantity, mean in (
        *((sim_aou(RANDOM_UPDATE), 0.0), (sim_aou(FT), 0.3), (sim_aou(LC), 0.4)),
        *((sim_am(LC), 0.3), (sim_am(ZSL), 0.4), (sim_am(FT), 0.5)),
        *((sim_aou(null), 0.0) for null in NULLS),
        *((sim_am(null), 0.4) for null in NULLS),
    )
}
UNTRAINED = {entry: 0.0 if entry.metric == sim_aou.name else 0.4 for entry in SIMILARITIES}


def as_the_papers_say(task, seed, similarities=SIMILARITIES, stream=0):
    """A trial in which `HOLDING` hold.

    Finetuning corrects little but what in-context learning corrects, and the two spoil different answers. A draw moves
    all similarities alike.
    """
    generator = np.random.default_rng((seed, stream, *task.encode()))
    labels = TASKS[task].labels
    gold = generator.integers(0, labels, QUERIES)
    wrong = (gold + generator.integers(1, labels, QUERIES)) % labels
    chance, right_before = generator.random(QUERIES), generator.random(QUERIES) < 0.5
    right = {
        "zero_shot": right_before,
        "in_context": np.where(right_before, chance > 0.1, chance < 0.7),
        "finetuning": np.where(right_before, chance < 0.94, (chance < 0.2) | (generator.random(QUERIES) < 0.02)),
    }
    noise = generator.normal(size=(QUERIES, LAYERS)) + 0.5 * generator.normal()
    return TrialResult(
        spec=TrialSpec("none", "none", task, k=4, seed=seed, permutation=0, queries=None, methods=(FT, LC)),
        query_rows=QUERIES * seed + np.arange(QUERIES),
        gold=gold,
        log_probabilities={
            method: np.log(np.eye(labels)[np.where(answer, gold, wrong)] * 0.9 + 0.01)
            for method, answer in right.items()
        },
        content_free={method: np.zeros((1, labels)) for method in right},
        by_layer={
            entry: mean + 0.1 * noise + 0.1 * generator.normal(size=noise.shape) for entry, mean in similarities.items()
        },
        provenance={"model": "none"},
    )


def rests_on(quantity):
    """The parts of a trial that a quantity is computed from."""
    if not isinstance(quantity.metric, PredictionMetric):
        return {Entry.of(quantity)}
    methods = {quantity.method.name}
    if quantity.metric is not accuracy:
        methods |= {"zero_shot", (quantity.reference or ICL).name}
    return methods


def verdicts(results):
    """By claim: its verdict, and the parts of the trials that it rests on: none where it is no comparison.

    The claims that are none are about other studies or methods, which these trials do not hold.
    """
    evidence = TrialsEvidence({"main": results, "learning": APART, "untrained": NEVER_TRAINED})
    return {
        claim.claim.id: (
            claim.decided_on(evidence),
            {part for question in claim.claim.questions for side in question.quantities for part in rests_on(side)},
        )
        for claim in data_claims("trials")
    }


APART = {task: [as_the_papers_say(task, 100 + seed) for seed in range(DRAWS)] for task in TASKS}
NEVER_TRAINED = {task: [as_the_papers_say(task, seed, UNTRAINED, 1) for seed in range(DRAWS)] for task in TASKS}


def words(decided, claims=HOLDING):
    return {claim: verdict.word for claim, (verdict, _) in decided.items() if claim in claims}


@pytest.fixture(scope="module")
def results():
    return {task: [as_the_papers_say(task, seed) for seed in range(DRAWS)] for task in TASKS}


@pytest.fixture(scope="module")
def before(results):
    return verdicts(results)


@pytest.fixture
def changed(results, before):
    """The words that changed, among `HOLDING`, with some parts of every trial; what rests on no such part must not."""

    def compared(change, *parts):
        after = verdicts({task: [change(result) for result in of_task] for task, of_task in results.items()})
        for claim, (verdict, rests) in after.items():
            assert rests & set(parts) or verdict == before[claim][0], claim
        return {claim: word for claim, word in words(after).items() if word != before[claim][0].word}

    return compared


def swapped(values, one, other):
    return {**values, one: values[other], other: values[one]}


def shuffled(values, name):
    return {**values, name: np.random.default_rng(0).permutation(values[name])}


def with_similarities(change):
    return lambda result: replace(result, by_layer=change(result.by_layer))


def with_answers(change):
    return lambda result: replace(result, log_probabilities=change(result.log_probabilities))


def test_claims_hold_where_all_is_as_the_papers_say(before):
    assert words(before) == dict.fromkeys(HOLDING, "supported")


def test_swapping_two_methods_outputs_refutes_what_compares_them(changed):
    pair = AOU_FT, AOU_RANDOM
    found = changed(with_similarities(lambda values: swapped(values, *pair)), *pair)
    assert found == dict.fromkeys(ABOUT_FT_AND_RANDOM, "refuted")
    pair = AOU_FT, AOU_LC
    assert changed(with_similarities(lambda values: swapped(values, *pair)), *pair) == {"lc-aou-5of6": "refuted"}


def test_swapping_two_methods_answers_refutes_what_compares_them(changed):
    """How far the two agree is the same either way; what finetuning corrects is not."""
    pair = "in_context", "finetuning"
    found = changed(with_answers(lambda values: swapped(values, *pair)), *pair)
    assert found == dict.fromkeys(("icl-beats-ft-acc", "icl-covers-ft", "icl-more-changes"), "refuted")


def test_flipping_a_sign_refutes_the_claims_about_that_quantity(changed):
    entry = AM_FT
    found = changed(with_similarities(lambda values: {**values, entry: -values[entry]}), entry)
    assert found == dict.fromkeys(ABOUT_FT_SCORES, "refuted")


def test_shuffling_a_methods_answers_breaks_what_pairs_them(changed):
    """Shuffled answers keep neither their accuracy nor what they share with others'; similarities keep their means."""
    found = changed(with_answers(lambda values: shuffled(values, "finetuning")), "finetuning")
    assert "icl-covers-ft" in found
    assert set(found) <= ABOUT_PREDICTIONS
    entry = AM_FT
    assert changed(with_similarities(lambda values: shuffled(values, entry)), entry) == {}


def test_pairs_that_are_torn_apart_widen_the_intervals(results, before):
    torn = {
        task: [
            replace(result, by_layer={**result.by_layer, AM_FT: other.by_layer[AM_FT]})
            for result, other in zip(of_task, [*of_task[1:], of_task[0]], strict=True)
        ]
        for task, of_task in results.items()
    }

    def width(decided, claim):
        return np.mean([finding.high - finding.low for finding in decided[claim][0].comparison.tasks])

    after = verdicts(torn)
    for claim in ABOUT_FT_SCORES:
        assert width(after, claim) > 1.2 * width(before, claim)


@pytest.mark.parametrize(
    ("dropped", "undecided"), [(1, {"icl-more-changes"}), (2, HOLDING - ON_FOUR_TASKS), (3, HOLDING)]
)
def test_with_too_few_tasks_left_there_is_no_verdict(results, dropped, undecided):
    found = words(verdicts(dict(list(results.items())[dropped:])))
    assert found == {claim: "inconclusive" if claim in undecided else "supported" for claim in HOLDING}


def test_what_no_claim_asks_changes_nothing(changed):
    assert changed(lambda result: replace(result, seconds={"learning": 5.0}, losses={"finetuning": [1.0]})) == {}


def test_other_names_of_the_labels_change_nothing(changed):
    def renamed(result):
        order = np.roll(np.arange(TASKS[result.spec.task].labels), 1)
        answers = {name: values[:, order] for name, values in result.log_probabilities.items()}
        return replace(result, gold=np.argsort(order)[result.gold], log_probabilities=answers)

    assert changed(renamed) == {}
