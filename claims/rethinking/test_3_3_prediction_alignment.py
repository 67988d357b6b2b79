"""Rethinking, section 3.3, table 1 and figure 1: how far the predictions of the two methods align."""

from quantities import ACCURACY_FT, ACCURACY_ICL, OF_ANY_TASK, REC2FTP, RPA

from icl_claims.claims import ON_MOST_TASKS, Claim, Quantity, TaskRule, jointly
from icl_claims.evidence.questions import Question, answered

HIGH_RECALL, MAJORITY = 0.8, 0.5

ICL_BEATS_FT_ACC = Claim(
    id="icl-beats-ft-acc",
    paper="rethinking",
    where="section 3.3, table 1",
    statement="In-context learning is more accurate than finetuning.",
)

ICL_COVERS_FT = Claim(
    id="icl-covers-ft",
    paper="rethinking",
    where="section 3.3",
    statement="In-context learning answers right at least 80 % of the queries that finetuning corrects (Rec2FTP).",
)

ICL_MORE_CHANGES = Claim(
    id="icl-more-changes",
    paper="rethinking",
    where="section 3.3, figure 1",
    statement="Overall, in-context learning changes more zero-shot predictions than finetuning does.",
    rule=TaskRule(at_least=5, overall=True),
)

UNIQUE_MAJORITY = Claim(
    id="unique-majority",
    paper="rethinking",
    where="section 3.3, figure 1",
    statement="On most tasks, the changes that only one of the two methods makes are the majority of all changes.",
    rule=ON_MOST_TASKS,
)

RPA_CORRECT_HIGHER = Claim(
    id="rpa-correct-higher",
    paper="rethinking",
    where="section 3.3, table 1",
    statement="The two methods share more of their changes to the correct label than of those to an incorrect one.",
)

REC_INSUFFICIENT = Claim(
    id="rec-insufficient",
    paper="rethinking",
    where="section 3.3",
    statement="Rec2FTP does not tell how far predictions align: on some task at least 80 % of what finetuning corrects "
    "is recalled, and yet fewer than half of the changes are shared.",
    rule=TaskRule(1),
)


@ICL_BEATS_FT_ACC.decided_on("printed", "trials")
def test_icl_is_more_accurate_than_finetuning(evidence, decide):
    decide(evidence.compare(ACCURACY_ICL, above=ACCURACY_FT))


@ICL_COVERS_FT.decided_on("author_runs", "trials")
def test_icl_covers_almost_all_corrections_of_finetuning(evidence, decide):
    decide(evidence.compare(REC2FTP, above=HIGH_RECALL))


@ICL_MORE_CHANGES.decided_on("author_runs", "trials")
def test_icl_changes_more_predictions(evidence, decide):
    decide(evidence.compare(Quantity("changed", "in_context"), above=Quantity("changed", "finetuning")))


@UNIQUE_MAJORITY.decided_on("printed", "author_runs", "trials")
def test_changes_unique_to_a_method_are_the_majority(evidence, decide):
    decide(evidence.compare(RPA, below=MAJORITY))


@RPA_CORRECT_HIGHER.decided_on("printed", "author_runs", "trials")
def test_changes_to_the_correct_label_are_shared_more(evidence, decide):
    decide(evidence.compare(Quantity("rpa_correct", "finetuning"), above=Quantity("rpa_incorrect", "finetuning")))


@REC_INSUFFICIENT.decided_on("author_runs", "trials")
def test_high_recall_goes_with_few_shared_changes(evidence, decide):
    recalled, shared = Question(REC2FTP, above=HIGH_RECALL), Question(RPA, below=MAJORITY)
    high = evidence.compare(REC2FTP, above=HIGH_RECALL, confidence=OF_ANY_TASK)
    both = jointly(high, evidence.compare(RPA, below=MAJORITY, confidence=OF_ANY_TASK))
    decide(both, beside=answered(evidence, recalled, shared))
