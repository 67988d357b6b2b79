"""Questions beside a claim's own: what a source cannot answer is left out, and every similarity has its nulls."""

from __future__ import annotations

import pytest
from icl_claims.evidence.comparison import AbsentEvidence
from icl_claims.evidence.questions import Question, against_nulls, answered

from icl_claims.claims import Comparison, Finding, Quantity, jointly
from icl_claims.errors import ClaimError
from icl_claims.evidence.author_runs import AuthorRunsEvidence
from icl_claims.evidence.printed import PrintedEvidence

PRINTED, RUNS = PrintedEvidence("rethinking"), AuthorRunsEvidence()
AOU_FT, AOU_LC = Quantity("sim_aou", "finetuning"), Quantity("sim_aou", "layer_causal")
AM_FT, AM_LC = Quantity("sim_am", "finetuning"), Quantity("sim_am", "layer_causal")
NOWHERE = Quantity("sim_aou", "gaussian_of_finetuning")


def questions_answered(evidence, *questions):
    return [str(found.right) for found in answered(evidence, *questions)]


@pytest.mark.parametrize("evidence", [PRINTED, RUNS])
def test_what_a_source_nowhere_holds_is_an_error_to_ask_and_left_out_beside(evidence):
    with pytest.raises(ClaimError):
        evidence.compare(AOU_FT, above=NOWHERE)
    assert questions_answered(evidence, Question(AOU_FT, above=NOWHERE)) == []


def test_a_question_that_some_task_answers_is_kept():
    (found,) = answered(RUNS, Question(AM_LC, below=AM_FT))
    assert {finding.task: finding.outcome for finding in found.tasks} == {
        "sst2": "holds",
        "sst5": "holds",
        "mr": "holds",
        "subj": "holds",
        "agnews": "absent",
        "cb": "absent",
    }


def test_evidence_that_could_not_be_had_answers_nothing():
    assert answered(AbsentEvidence("trials", "not here"), Question(AOU_LC, above=AOU_FT)) == ()


def test_the_nulls_of_a_table_are_those_that_it_prints():
    assert questions_answered(PRINTED, *against_nulls(AOU_FT)) == ["sim_aou of random_update"]
    assert questions_answered(PRINTED, *against_nulls(AM_FT)) == []


def test_the_authors_ran_an_untrained_model_too():
    nulls = ["sim_aou of random_update", "sim_aou of finetuning (study untrained)"]
    assert questions_answered(RUNS, *against_nulls(AOU_FT)) == nulls


def test_every_null_is_of_the_method_and_the_metric_itself():
    assert [question.above for question in against_nulls(AM_LC)] == [
        Quantity("sim_am", "gaussian_of_layer_causal"),
        Quantity("sim_am", "other_query_of_layer_causal"),
    ]


def test_only_finetuning_is_run_on_an_untrained_model():
    assert against_nulls(AM_FT)[-1].above == Quantity("sim_am", "finetuning", study="untrained")
    assert "untrained" not in {question.above.study for question in against_nulls(AM_LC)}


def test_a_claim_about_a_null_does_not_show_it_again():
    random = Quantity("sim_aou", "random_update")
    assert random in [question.above for question in against_nulls(AOU_FT)]
    assert random not in [question.above for question in against_nulls(AOU_FT, but=random)]


@pytest.mark.parametrize("study", ["main", "clips"])
def test_tables_and_logs_do_not_say_in_which_of_our_studies_a_method_would_be_measured(study):
    clipped = Quantity("sim_am", "layer_causal_clip_12", study=study)
    for evidence in (PRINTED, RUNS):
        assert evidence.compare(clipped, above=AM_LC, tasks=("subj",)).tasks[0].outcome == "holds"


def test_an_untrained_model_is_another_model():
    untrained = Quantity("sim_aou", "finetuning", study="untrained")
    assert answered(PRINTED, Question(untrained, above=0.0)) == ()
    (found,) = answered(RUNS, Question(untrained, above=AOU_FT, tasks=("mr",)))
    assert found.tasks[0].difference > 0


@pytest.mark.parametrize(
    ("outcomes", "wanted", "needed"),
    [
        (("unclear", "fails"), (72, None), None),
        (("holds", "unclear"), (None, 500), 500),
        (("unclear", "unclear"), (72, 500), 500),
        (("unclear", "unclear"), (72, None), None),
    ],
)
def test_questions_asked_jointly_need_what_the_undecided_ones_need(outcomes, wanted, needed):
    asked = (
        Comparison("a question", (Finding("cb", outcome, needed=n),))
        for outcome, n in zip(outcomes, wanted, strict=True)
    )
    assert jointly(*asked).findings[0].needed == needed


def test_questions_asked_jointly_favour_no_side():
    both = jointly(PRINTED.compare(AOU_LC, above=AOU_FT), PRINTED.compare(AM_LC, above=AM_FT))
    assert [finding.outcome for finding in both.tasks] == ["fails"] * 6
    assert both.upwards is None
