"""Rethinking, section 3.5 and table 4: finetuning on a linear approximation of the model."""

from dataclasses import replace

from quantities import (
    AM_BEFORE,
    AM_FT,
    AM_LINEAR,
    AM_UPDATE_LINEAR,
    AOU_FT,
    AOU_LINEAR,
    AOU_RANDOM,
    GENERALLY_OF_FOUR,
    LINEARIZED_TASKS,
)

from icl_claims.claims import Claim, TaskRule, jointly
from icl_claims.evidence.questions import against_nulls, answered

NULLS = (*against_nulls(AOU_LINEAR), *against_nulls(AM_LINEAR), *against_nulls(AM_UPDATE_LINEAR))

LEFT_OUT = ("agnews", "cb")

LIN_LOWER = Claim(
    id="lin-lower",
    paper="rethinking",
    where="section 3.5, table 4",
    statement="Finetuning on a linear approximation of the model is less similar to in-context learning than standard "
    "finetuning, in attention outputs and in attention scores.",
    rule=GENERALLY_OF_FOUR,
)

LIN_ABOVE_RANDOM = Claim(
    id="lin-above-random",
    paper="rethinking",
    where="section 3.5, table 4",
    statement="In-context learning moves attention outputs in linearised finetuning's direction more than in a random "
    "one.",
    rule=GENERALLY_OF_FOUR,
)

LIN_AM_ABOVE_ZSL = Claim(
    id="lin-am-above-zsl",
    paper="rethinking",
    where="table 4",
    statement="In-context learning's attention scores are closer to those after linearised finetuning than to the "
    "model's before.",
    rule=GENERALLY_OF_FOUR,
)

LIN_MEMORY = Claim(
    id="lin-memory",
    paper="rethinking",
    where="section 3.5",
    statement="For want of memory, linearised finetuning cannot be evaluated on AGNews and CB.",
    rule=TaskRule(at_least=2, of=2),
)


@LIN_LOWER.decided_on("printed", "trials")
def test_linearised_finetuning_is_less_similar_to_icl(evidence, decide):
    outputs = evidence.compare(AOU_LINEAR, below=AOU_FT, tasks=LINEARIZED_TASKS)
    scores = evidence.compare(AM_LINEAR, below=AM_FT, tasks=LINEARIZED_TASKS)
    decide(jointly(outputs, scores), beside=[outputs, scores, *answered(evidence, *NULLS)])


@LIN_ABOVE_RANDOM.decided_on("printed", "trials")
def test_attention_outputs_move_in_linearised_finetunings_direction(evidence, decide):
    other_nulls = against_nulls(AOU_LINEAR, but=AOU_RANDOM)
    above_random = evidence.compare(AOU_LINEAR, above=AOU_RANDOM, tasks=LINEARIZED_TASKS)
    decide(above_random, beside=answered(evidence, *other_nulls))


@LIN_AM_ABOVE_ZSL.decided_on("printed", "trials")
def test_linearised_finetuning_brings_attention_scores_closer_to_icl(evidence, decide):
    closer = evidence.compare(AM_LINEAR, above=AM_BEFORE, tasks=LINEARIZED_TASKS)
    decide(closer, beside=answered(evidence, *NULLS))


@LIN_MEMORY.decided_on("trials")
def test_memory_keeps_linearised_finetuning_from_the_tasks_left_out(evidence, decide):
    asked = evidence.compare(AOU_LINEAR, above=AOU_RANDOM, tasks=LEFT_OUT)
    papers_model = getattr(evidence, "details", {}).get("profile") == "paper"
    findings = tuple(told_by(finding, papers_model=papers_model) for finding in asked.tasks)
    decide(replace(asked, question="linearised finetuning cannot be evaluated", findings=findings, upwards=None))


def told_by(finding, *, papers_model):
    """A task on which there are numbers of the papers' model is one that memory does not rule out."""
    if finding.outcome == "absent":
        return finding
    if not papers_model:
        return replace(finding, outcome="absent", needed=None, note="it was evaluated, but of a smaller model")
    return replace(finding, outcome="fails", needed=None, note="it was evaluated")
