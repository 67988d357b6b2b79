"""Revisited, section 1: the three experiments that the paper announces.

It reports two of them. The third, false labels, has no result in the paper; what it would have shown is decided here.
"""

from quantities import (
    ACCURACY_FT,
    ACCURACY_ICL,
    AM_FT,
    AM_LINEAR,
    AOU_FT,
    AOU_LINEAR,
    COMPARABLE,
    GENERALLY_OF_FOUR,
    LINEARIZED_TASKS,
)

from icl_claims.claims import Claim, Quantity, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

BASIC_LINEAR_SUFFICES = Claim(
    id="basic-linear-suffices",
    paper="revisited",
    where="section 1",
    statement="Extensive finetuning is not required: a linear model of the original hidden states is as similar to "
    "in-context learning, give or take a tenth, in attention outputs and in attention scores.",
    rule=GENERALLY_OF_FOUR,
)

LABEL_SWITCH = Claim(
    id="label-switch",
    paper="revisited",
    where="section 1, label switching",
    statement="In-context learning and finetuning are more similar when both are given true labels than when both are "
    "given false ones.",
)


@BASIC_LINEAR_SUFFICES.decided_on("printed", "trials")
def test_a_linear_model_is_as_similar_as_the_whole_one(evidence, decide):
    outputs = evidence.equivalent(AOU_LINEAR, AOU_FT, within=COMPARABLE, tasks=LINEARIZED_TASKS)
    scores = evidence.equivalent(AM_LINEAR, AM_FT, within=COMPARABLE, tasks=LINEARIZED_TASKS)
    nulls = (*against_nulls(AOU_LINEAR), *against_nulls(AM_LINEAR))
    decide(jointly(outputs, scores), beside=[outputs, scores, *answered(evidence, *nulls)])


@LABEL_SWITCH.decided_on("trials")
def test_false_labels_lower_the_similarity(evidence, decide):
    beside = answered(
        evidence,
        Question(AOU_FT, above=both_with("random", "sim_aou")),
        Question(Quantity("sim_am_update", "finetuning"), above=both_with("cyclic", "sim_am_update")),
        Question(AOU_FT, above=Quantity("sim_aou", "finetuning", "in_context_cyclic_labels", study="labels")),
        Question(both_with("cyclic", "sim_aou"), above=Quantity("sim_aou", "finetuning_cyclic_labels", study="labels")),
        Question(ACCURACY_ICL, above=Quantity("accuracy", "in_context_cyclic_labels", study="labels")),
        Question(ACCURACY_FT, above=Quantity("accuracy", "finetuning_cyclic_labels", study="labels")),
        *against_nulls(AOU_FT),
    )
    decide(evidence.compare(AOU_FT, above=both_with("cyclic", "sim_aou")), beside=beside)


def both_with(switch: str, metric: str) -> Quantity:
    """How similar the two methods are when both are given false labels: each the next one, or random ones."""
    return Quantity(metric, f"finetuning_{switch}_labels", f"in_context_{switch}_labels", study="labels")
