"""Questions are plain data that evidence answers; what a source cannot answer is left out where it may be."""

from __future__ import annotations

import operator
from dataclasses import FrozenInstanceError

import pytest

from icl_claims.claims import Comparison, Finding, jointly, nulls_of
from icl_claims.errors import ClaimError
from icl_claims.evidence.asking import AbsentEvidence
from icl_claims.evidence.author_runs import AuthorRunsEvidence
from icl_claims.evidence.printed import PrintedEvidence
from icl_claims.methods import (
    AnotherQuerysUpdate,
    Clipping,
    Finetuning,
    GaussianUpdate,
    InContext,
    LayerCausal,
    SwitchedLabels,
)
from icl_claims.metrics import RANDOM_UPDATE, accuracy, sim_am, sim_aou
from icl_claims.questions import Quantity
from icl_claims.statistics.error_rates import Errors

PRINTED, RUNS = PrintedEvidence("rethinking"), AuthorRunsEvidence()
FT, LC, CLIPPED = Finetuning(), LayerCausal(), LayerCausal(clip=Clipping(at=12.0))
UNTRAINED = "embeddings_norms_head"


def answered(evidence, *questions):
    """The right sides of the questions that a source answers."""
    return [found.right.name for found in evidence.answers(*questions)]


def outcomes(comparison):
    return {finding.task: finding.outcome for finding in comparison.tasks}


# Quantities and questions


def test_a_quantity_has_a_name_for_files_and_a_title_for_print():
    cyclic = SwitchedLabels(InContext(), "cyclic")
    asked = sim_aou(FT, cyclic).at((0.5, 1)).of_weights("norms")
    assert asked == Quantity(sim_aou, FT, cyclic, (0.5, 1), "norms")
    depth = ", from 50% to 100% of the depth (untrained: keeps norms)"
    assert asked.name == f"sim_aou of finetuning against in_context_cyclic_labels{depth}"
    assert asked.title == str(asked) == f"SimAOU of finetuning against {cyclic.title}{depth}"


def test_questions_are_frozen_and_equal_if_they_ask_the_same():
    question = sim_aou(LC) > sim_aou(FT)
    assert {question, sim_aou(LayerCausal()) > sim_aou(Finetuning())} == {question}
    others = {sim_aou(LC) < sim_aou(FT), sim_am(LC) > sim_am(FT), sim_aou(CLIPPED) > sim_aou(FT), question.on("cb")}
    others |= {
        question.allowing(Errors(0.001)),
        question.of_any_model,
        question.significant,
        question.where_known,
        ~question,
        question & question,
    }
    assert len(others | {question}) == 11
    with pytest.raises(FrozenInstanceError):
        question.upwards = False


def test_a_question_has_no_truth_value_and_says_whom_to_ask():
    for question in (sim_aou(LC) > sim_aou(FT), ~(sim_aou(LC) > 0), sim_aou(LC).near(sim_aou(FT), within=0.1)):
        with pytest.raises(ClaimError, match=r"no truth value.*Ask evidence: evidence\.ask\(question\)"):
            bool(question)


def test_a_chain_of_comparisons_is_refused_and_not_halved():
    with pytest.raises(ClaimError, match="joined with & and denied with ~"):
        _ = 0.0 < sim_aou(FT) < sim_aou(LC)
    with pytest.raises(ClaimError, match="no truth value"):
        _ = (sim_aou(FT) > 0.0) and (sim_aou(LC) > 0.0)


def test_either_side_may_come_first():
    assert operator.lt(0.5, accuracy(FT)) == (accuracy(FT) > 0.5)
    assert operator.gt(0.5, accuracy(FT)) == (accuracy(FT) < 0.5)
    assert str(sim_aou(LC) < sim_aou(FT)) == "SimAOU of layer-causal finetuning below SimAOU of finetuning"
    assert str(accuracy(FT) > 0.5) == "accuracy of finetuning above 0.5"
    near = sim_aou(LC).near(sim_aou(FT), within=0.1)
    assert str(~near) == "not: SimAOU of layer-causal finetuning equals SimAOU of finetuning, give or take 10%"


def test_not_higher_is_no_denial_of_higher_and_has_a_margin():
    question = sim_aou(LC).not_above(sim_aou(FT), within=0.1)
    assert str(question) == "SimAOU of layer-causal finetuning not above SimAOU of finetuning, or by less than 10%"
    assert question.on("subj").quantities == (sim_aou(LC), sim_aou(FT))
    for nothing in (0.0, -0.1, float("nan")):
        with pytest.raises(ClaimError, match=r"Not even equal quantities are .*: expected a share above 0"):
            sim_aou(LC).not_above(sim_aou(FT), within=nothing)


def test_a_table_says_what_is_not_higher():
    asked = sim_am(LC).not_above(sim_am(FT), within=0.01)
    turned = sim_am(FT).not_above(sim_am(LC), within=0.01)
    assert set(outcomes(PRINTED.ask(sim_am(LC) < sim_am(FT))).values()) == {"holds"}
    assert set(outcomes(PRINTED.ask(asked)).values()) == {"holds"}
    assert set(outcomes(PRINTED.ask(turned)).values()) == {"fails"}
    assert PRINTED.ask(asked).upwards is None


def test_joining_is_flat_and_keeps_the_order_of_the_sentence():
    one, two, three = sim_aou(LC) > sim_aou(FT), sim_am(LC) < sim_am(FT), ~(accuracy(FT) > 0.5)
    assert (one & two & three).parts == (one & (two & three)).conjuncts == (one, two, three)
    quantities = (sim_aou(LC), sim_aou(FT), sim_am(LC), sim_am(FT), accuracy(FT))
    assert (one & two & three).quantities == quantities
    assert one.conjuncts == (one,)


def test_narrowing_reaches_every_part_of_a_question():
    whole = (sim_aou(LC) > sim_aou(FT)) & ~(sim_am(LC) > sim_am(FT))
    narrow = whole.on("subj")
    assert whole.tasks is None
    assert [part.tasks for part in (narrow, *narrow.parts, narrow.parts[1].question)] == [("subj",)] * 4
    for source in (PRINTED, RUNS):
        assert list(outcomes(source.ask(narrow))) == ["subj"]
    narrow_first = (sim_aou(LC) > sim_aou(FT)).on("subj") & (sim_am(LC) > sim_am(FT)).on("subj")
    assert list(outcomes(PRINTED.ask(narrow_first))) == ["subj"]


def test_a_denied_question_has_the_opposite_outcomes():
    question, opposite = sim_aou(LC) > sim_aou(FT), {"holds": "fails", "fails": "holds", "unclear": "unclear"}
    plain, denied = (outcomes(PRINTED.ask(asked)) for asked in (question, ~question))
    assert denied == {task: opposite[outcome] for task, outcome in plain.items()}
    assert outcomes(PRINTED.ask(~~question)) == plain
    assert set(plain.values()) == {"holds", "fails"}


def test_fewer_errors_widen_every_interval():
    question = sim_aou(LC) > sim_aou(FT)
    usual, wide = (RUNS.ask(asked).tasks for asked in (question, question.allowing(Errors(0.001, 0.001))))
    assert all(w.low < u.low < u.high < w.high for u, w in zip(usual, wide, strict=True))


# What a source cannot answer

NOWHERE = sim_aou(FT) > sim_aou(GaussianUpdate(FT))


@pytest.mark.parametrize("evidence", [PRINTED, RUNS], ids=lambda evidence: evidence.source)
def test_what_a_source_holds_nowhere_is_an_error_but_beside(evidence):
    with pytest.raises(ClaimError, match=f"The source {evidence.source} holds no"):
        evidence.ask(NOWHERE)
    assert answered(evidence, NOWHERE) == []


def test_where_known_is_left_out_where_a_source_has_nothing():
    known = sim_aou(LC) > sim_aou(FT)
    assert PRINTED.ask(known & NOWHERE.where_known).findings == PRINTED.ask(known).findings
    with pytest.raises(ClaimError, match="holds no"):
        PRINTED.ask(known & NOWHERE)
    optional = known & (sim_am(LC) > sim_am(FT)).where_known
    assert set(outcomes(PRINTED.ask(optional)).values()) == {"fails"}  # known here, it counts like any other
    assert len(PRINTED.ask(optional).parts) == 2


def test_a_question_that_some_task_answers_is_kept():
    (found,) = RUNS.answers(sim_am(LC) < sim_am(FT))
    known = dict.fromkeys(("sst2", "sst5", "mr", "subj"), "unclear")  # a run each
    assert outcomes(found) == {**known, "agnews": "absent", "cb": "absent"}


def test_evidence_that_could_not_be_had_answers_nothing():
    assert AbsentEvidence("trials", "not here").answers(sim_aou(LC) > sim_aou(FT)) == ()


# Nulls


def test_the_nulls_of_a_table_are_those_that_it_prints():
    assert answered(PRINTED, *nulls_of(sim_aou(FT))) == ["sim_aou of random_update"]
    assert answered(PRINTED, *nulls_of(sim_am(FT))) == []


def test_the_authors_ran_an_untrained_model_too():
    untrained = "sim_aou of finetuning (untrained: keeps embeddings_norms_head)"
    assert answered(RUNS, *nulls_of(sim_aou(FT))) == ["sim_aou of random_update", untrained]


def test_every_null_is_of_the_method_and_the_metric_itself():
    nulls = [sim_am(GaussianUpdate(LC)), sim_am(AnotherQuerysUpdate(LC)), sim_am(LC).of_weights(UNTRAINED)]
    assert nulls_of(sim_am(LC)) == tuple(sim_am(LC) > null for null in nulls)


def test_variants_of_a_method_are_not_run_on_an_untrained_model():
    assert nulls_of(sim_am(FT))[-1].right == sim_am(FT).of_weights(UNTRAINED)
    assert {null.right.weights for null in nulls_of(sim_am(CLIPPED))} == {"trained"}
    assert {null.right.weights for null in nulls_of(sim_am(FT).of_weights(UNTRAINED))} == {UNTRAINED}


def test_a_claim_about_a_null_does_not_show_it_again():
    random = sim_aou(RANDOM_UPDATE)
    assert random in [question.right for question in nulls_of(sim_aou(FT))]
    assert random not in [question.right for question in nulls_of(sim_aou(FT), but=random)]


def test_tables_and_logs_do_not_say_in_which_study_a_method_is():
    clipped = (sim_am(CLIPPED) > sim_am(LC)).on("subj")
    for evidence, outcome in ((PRINTED, "holds"), (RUNS, "unclear")):
        found = evidence.ask(clipped).tasks[0]
        assert (found.outcome, found.difference > 0) == (outcome, True)


def test_an_untrained_model_is_another_model():
    untrained = sim_aou(FT).of_weights(UNTRAINED)
    assert PRINTED.answers(untrained > 0.0) == ()
    (found,) = RUNS.answers((untrained > sim_aou(FT)).on("mr"))
    assert found.tasks[0].difference > 0


# Errors


def test_errors_go_with_what_a_question_is_made_of():
    """One part that fails is enough to refute a joint question, and what denies one exchanges both words."""
    one, other, errors = sim_aou(LC) > sim_aou(FT), sim_am(LC) > sim_am(FT), Errors(0.01, 0.04)
    joint = (one & other).allowing(errors)
    assert [part.errors for part in joint.parts] == [Errors(0.01, 0.02, 0.025, 0.0125)] * 2
    assert (~one).allowing(errors).question.errors == Errors(0.04, 0.01)
    assert {leaf.any_model for leaf in (one & other).of_any_model.leaves()} == {True}


# Questions asked jointly


@pytest.mark.parametrize(
    ("outcomes", "wanted", "needed"),
    [
        (("unclear", "fails"), (72, None), None),
        (("holds", "unclear"), (None, 500), 500),
        (("unclear", "unclear"), (72, 500), 500),
        (("unclear", "unclear"), (72, None), None),
    ],
)
def test_joint_questions_need_what_the_undecided_ones_need(outcomes, wanted, needed):
    asked = [
        Comparison("a question", (Finding("cb", outcome, needed=n),))
        for outcome, n in zip(outcomes, wanted, strict=True)
    ]
    assert jointly(asked).findings[0].needed == needed


def test_joint_questions_favour_no_side_and_keep_their_parts():
    questions = sim_aou(LC) > sim_aou(FT), sim_am(LC) > sim_am(FT)
    both = PRINTED.ask(questions[0] & questions[1])
    assert [finding.outcome for finding in both.tasks] == ["fails"] * 6
    assert both.upwards is None
    assert both.parts == tuple(map(PRINTED.ask, questions))
    assert both.question == f"{questions[0]} and {questions[1]}"
