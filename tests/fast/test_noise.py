"""What noise says in the place of what a claim speaks of, and whether the model learns at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from icl_claims.claims import NullVerdict, Verdict, at_least
from icl_claims.claims.comparison import UNTRAINED
from icl_claims.evidence.noise import NOISES, is_similarity
from icl_claims.evidence.trials import TrialsEvidence, learning_of
from icl_claims.evidence.verdicts import bound_by, tried_against_noise
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import STUDIES
from icl_claims.methods import (
    AnotherQuerysUpdate,
    Finetuning,
    GaussianUpdate,
    InContext,
    LayerCausal,
    SwitchedLabels,
    ZeroShot,
)
from icl_claims.metrics import RANDOM_UPDATE, accuracy, kendall, lens_loss, sim_am, sim_aou
from icl_claims.questions import Denied

FT, LC, ZSL, ICL = Finetuning(), LayerCausal(), ZeroShot(), InContext()
GAUSSIAN, OTHER_QUERY, NO_TRAINING, NO_LEARNING = NOISES
NOISE, NOISE_OF_LC = GaussianUpdate(FT), GaussianUpdate(LC)
ON_ONE = at_least(1, of=1)


# What stands in the place of what


def test_of_a_difference_both_sides_are_noise():
    asked = (sim_aou(LC) > sim_aou(FT)).on("subj")
    assert GAUSSIAN.in_place_of(asked) == (sim_aou(NOISE_OF_LC) > sim_aou(NOISE)).on("subj")
    assert OTHER_QUERY.in_place_of(asked).left == sim_aou(AnotherQuerysUpdate(LC))
    assert NO_TRAINING.in_place_of(asked).right == sim_aou(FT).of_weights(UNTRAINED)


@pytest.mark.parametrize("other", [sim_aou(RANDOM_UPDATE), sim_aou(ZSL), 0.5], ids=str)
def test_what_learns_nothing_stays_where_an_update_is_noise(other):
    assert GAUSSIAN.in_place_of(sim_aou(FT) > other) == (sim_aou(NOISE) > other)


def test_noise_is_as_deep_in_the_model():
    asked = sim_aou(FT).at((0.5, 1.0)) > sim_aou(FT).at((0.0, 0.5))
    assert GAUSSIAN.in_place_of(asked) == (sim_aou(NOISE).at((0.5, 1.0)) > sim_aou(NOISE).at((0.0, 0.5)))


def test_noise_need_not_be_as_large_as_noise():
    asked = sim_aou(LC).near(sim_aou(FT), within=0.1)
    assert GAUSSIAN.in_place_of(asked) == sim_aou(NOISE_OF_LC).near(sim_aou(FT), within=0.1)


def test_where_it_is_denied_that_one_is_as_large_as_another_both_are_noise():
    null = GAUSSIAN.in_place_of(~sim_aou(LC).near(sim_aou(FT), within=0.1))
    assert isinstance(null, Denied)
    assert null.question == sim_aou(NOISE_OF_LC).near(sim_aou(NOISE), within=0.1)


def test_of_what_is_not_above_another_both_are_noise():
    asked = sim_am(LC).not_above(sim_am(FT), within=0.1)
    assert GAUSSIAN.in_place_of(asked) == sim_am(NOISE_OF_LC).not_above(sim_am(NOISE), within=0.1)


def test_of_several_questions_those_are_left_out_in_which_noise_has_no_place():
    asked = (sim_aou(LC) > sim_aou(FT)) & (accuracy(LC) > accuracy(FT)) & (sim_am(FT) > sim_am(ZSL))
    parts = GAUSSIAN.in_place_of(asked).parts
    assert parts == (sim_aou(NOISE_OF_LC) > sim_aou(NOISE), sim_am(NOISE) > sim_am(ZSL))
    assert GAUSSIAN.in_place_of((accuracy(LC) > accuracy(FT)) & (accuracy(FT) > 0.5)) is None


def test_kendall_is_tried_against_the_model_before_it_learned():
    asked = kendall(FT) > kendall(RANDOM_UPDATE)
    assert NO_LEARNING.in_place_of(asked) == (kendall(ZSL) > kendall(RANDOM_UPDATE))
    assert GAUSSIAN.in_place_of(asked) is None
    assert OTHER_QUERY.in_place_of(asked) is None


def test_the_model_before_it_learned_stands_for_no_update():
    assert NO_LEARNING.in_place_of(sim_aou(FT) > sim_aou(ZSL)) is None


@pytest.mark.parametrize("noise", NOISES[:2], ids=lambda noise: noise.title)
def test_finetuning_on_other_demonstrations_has_no_noise(noise):
    switched = SwitchedLabels(FT, "cyclic")
    asked = sim_aou(FT) > sim_aou(switched, SwitchedLabels(ICL, "cyclic"))
    assert noise.in_place_of(asked).right == asked.right
    assert noise.in_place_of(sim_aou(switched) > 0.5) is None


def test_what_is_untrained_already_has_no_untrained_noise():
    untrained = sim_aou(FT).of_weights(UNTRAINED)
    assert NO_TRAINING.in_place_of(untrained > 0.5) is None
    assert NO_TRAINING.in_place_of(sim_aou(FT) > untrained).left == untrained


def test_a_similarity_compares_what_happens_inside():
    assert all(map(is_similarity, (sim_aou(FT), sim_am(FT), kendall(FT))))
    assert not any(map(is_similarity, (accuracy(FT), lens_loss(FT))))


# What noise has to say


def of_noise(word, exceeded, name="noise"):
    return NullVerdict(name, word, exceeded)


@pytest.mark.parametrize(
    ("nulls", "word"),
    [
        ([], "supported"),
        ([("refuted", "yes")], "supported"),
        ([("inconclusive", "yes"), ("refuted", "yes")], "supported"),
        ([("inconclusive", "undecided")], "inconclusive"),
        ([("refuted", "yes"), ("refuted", "no")], "inconclusive"),
        ([("supported", "yes")], "vacuous"),
        ([("refuted", "no"), ("supported", "undecided")], "vacuous"),
    ],
)
def test_what_holds_is_supported_only_beyond_all_noise(nulls, word):
    said = [of_noise(*one) for one in nulls]
    bound = bound_by(said, Verdict("supported", "It holds."))
    assert (bound.word, bound.nulls) == (word, tuple(said))


@pytest.mark.parametrize("word", ["refuted", "inconclusive", "not run"])
def test_noise_changes_no_word_but_supported(word):
    verdict = Verdict(word, "So it is.")
    bound = bound_by([of_noise("supported", "no")], verdict)
    assert (bound.word, bound.why) == (word, "So it is.")


def test_it_is_said_which_noise_passes_and_which_is_not_exceeded():
    passed, short = of_noise("supported", "no", "a wind"), of_noise("refuted", "undecided", "a wave")
    assert bound_by([passed, short], Verdict("supported", "It holds.")).why == "It holds. So does a wind."
    bound = bound_by([short], Verdict("supported", "It holds."))
    assert bound.why == "It holds. That it goes beyond a wave is not shown."
    assert "goes beyond a wave" in bound.would_change


def result(seed, similarities=(), icl=None, zsl=None, task="sst2", rows=32):
    """A draw in which methods have similarities, and the two that are prompted give labels."""
    stream, gold = np.random.default_rng(seed), np.arange(rows) % 2
    given = {"zero_shot": np.zeros(rows, int) if zsl is None else zsl, "in_context": gold if icl is None else icl}
    values = {quantity: mean + 0.02 * stream.normal(size=(rows, 2)) for quantity, mean in similarities}
    return TrialResult(
        spec=TrialSpec("model", "data", task, 4, seed, 0, None, (FT, LC)),
        query_rows=1000 * seed + np.arange(rows),
        gold=gold,
        log_probabilities={name: np.log(np.eye(2)[labels] * 0.9 + 0.01) for name, labels in given.items()},
        content_free={name: np.zeros((1, 2)) for name in given},
        by_layer={Entry.of(quantity): of for quantity, of in values.items()},
    )


def draws(many=10, **kinds):
    return [result(seed, **kinds) for seed in range(many)]


def learning(many=10, wrong=1):
    """Draws in which in-context learning is wrong about at least so many queries."""
    gold = np.arange(32) % 2
    answers = [np.where(np.arange(32) < wrong + seed % 3, 1 - gold, gold) for seed in range(many)]
    return [result(seed, icl=icl) for seed, icl in enumerate(answers)]


def tried(question, similarities):
    """What the rule says of one task with the noise that is measured there, alone and bound by it."""
    studies = tuple(study for study in STUDIES.values() if study.weights == "trained")
    main = {"sst2": draws(similarities=tuple(similarities.items()))}
    evidence = TrialsEvidence({"main": main, "learning": {"sst2": learning()}}, studies=studies)
    asked = question.on("sst2").allowing(ON_ONE.errors)
    nulls = tried_against_noise(ON_ONE, evidence, [asked], lambda ask: ask(asked))
    found = ON_ONE.decide(evidence.ask(asked))
    return found.word, bound_by(nulls, found)


def with_noise(of_ft, of_noise, **more):
    nulls = dict.fromkeys((sim_aou(GaussianUpdate(FT)), sim_aou(AnotherQuerysUpdate(FT))), of_noise)
    return {sim_aou(FT): of_ft, sim_aou(RANDOM_UPDATE): 0.0, **nulls, **more}


@pytest.mark.parametrize(
    ("similarities", "word"),
    [
        (with_noise(0.5, 0.3), "vacuous"),
        (with_noise(0.3, 0.3), "vacuous"),
        (with_noise(0.3, -0.1), "supported"),
    ],
)
def test_what_holds_of_noise_as_well_is_vacuous(similarities, word):
    alone, bound = tried(sim_aou(FT) > sim_aou(RANDOM_UPDATE), similarities)
    assert (alone, bound.word) == ("supported", word)
    assert [null.name for null in bound.nulls] == [GAUSSIAN.title, OTHER_QUERY.title]


def test_two_that_are_alike_must_both_be_beyond_noise():
    asked = sim_aou(FT).near(sim_aou(LC), within=0.1)
    assert tried(asked, {**with_noise(0.5, 0.1), sim_aou(LC): 0.5})[1].word == "supported"
    assert tried(asked, {**with_noise(0.5, 0.49), sim_aou(LC): 0.5})[1].word == "vacuous"


def test_a_difference_must_be_larger_than_that_of_noise():
    of_lc = {sim_aou(LC): 0.2, sim_aou(GaussianUpdate(LC)): 0.1, sim_aou(AnotherQuerysUpdate(LC)): 0.1}
    assert tried(sim_aou(FT) > sim_aou(LC), {**with_noise(0.5, 0.1), **of_lc})[1].word == "supported"
    assert tried(sim_aou(FT) > sim_aou(LC), {**with_noise(0.5, 0.4), **of_lc})[1].word == "vacuous"


def test_noise_is_not_asked_about_predictions_and_any_model():
    similarities = with_noise(0.5, 0.3)
    assert tried(accuracy(ICL) > accuracy(ZSL), similarities)[1].nulls == ()
    assert tried((sim_aou(FT) > sim_aou(RANDOM_UPDATE)).of_any_model, similarities)[1].nulls == ()


# Whether the model learns


def test_a_model_learns_that_is_right_more_often_than_the_most_frequent_label():
    assert learning_of({"learning": {"sst2": learning()}}, "sst2") == ""


def test_a_model_learns_that_is_right_more_often_than_without_demonstrations():
    gold = np.arange(32) % 2
    always = [replace(one, gold=np.ones(32, int)) for one in draws(zsl=gold, icl=np.ones(32, int))]
    spread = [replace(one, log_probabilities=_one_wrong(one, n)) for n, one in enumerate(always)]
    assert learning_of({"learning": {"sst2": spread}}, "sst2") == ""


def _one_wrong(one, queries):
    """The log-probabilities of a draw with the labels of its first queries exchanged in context."""
    said = dict(one.log_probabilities)
    said["in_context"] = np.where(np.arange(32)[:, None] < queries % 3, said["in_context"][:, ::-1], said["in_context"])
    return said


def test_a_model_that_guesses_does_not_learn():
    said = learning_of({"learning": {"sst2": learning(wrong=16)}}, "sst2")
    assert said.startswith("in-context learning is not shown to beat chance or zero-shot")
    assert said.endswith("on 10 other draws)")


@pytest.mark.parametrize("many", [1, 2])
def test_one_draw_shows_no_learning_and_two_hardly_do(many):
    assert "is not shown" in learning_of({"learning": {"sst2": learning(many)}}, "sst2")


@pytest.mark.parametrize("results", [{}, {"main": {"sst2": draws(1)}}, {"learning": {"cb": draws(1)}}])
def test_where_learning_was_not_tried_it_is_not_known(results):
    assert learning_of(results, "sst2") == "whether the model learns in context was not tried"
