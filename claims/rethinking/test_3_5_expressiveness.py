"""Rethinking, section 3.5 and table 4: finetuning on a linear approximation of the model."""

from __future__ import annotations

from dataclasses import replace

from icl_claims.claims import Asked, Decide, Finding, at_least, nulls_of, rethinking
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.metrics import RANDOM_UPDATE, sim_am, sim_am_update, sim_aou

from ..quantities import FT, GENERALLY_OF_FOUR, LINEAR, LINEARIZED_TASKS, ZSL

NULLS = (*nulls_of(sim_aou(LINEAR)), *nulls_of(sim_am(LINEAR)), *nulls_of(sim_am_update(LINEAR)))
LEFT_OUT = ("agnews", "cb")


@rethinking.claim("lin-lower", where="section 3.5, table 4", rule=GENERALLY_OF_FOUR, on="printed trials")
def test_linearised_finetuning_is_less_similar_to_icl() -> Asked:
    """Finetuning on a linear approximation of the model is less similar to in-context learning than standard
    finetuning, in attention outputs and in attention scores.
    """
    lower = (sim_aou(LINEAR) < sim_aou(FT)) & (sim_am(LINEAR) < sim_am(FT))
    return lower.on(*LINEARIZED_TASKS), *NULLS


@rethinking.claim("lin-above-random", where="section 3.5, table 4", rule=GENERALLY_OF_FOUR, on="printed trials")
def test_linearised_finetuning_moves_outputs_as_icl_does() -> Asked:
    """In-context learning moves attention outputs in linearised finetuning's direction more than in a random one."""
    above_random = sim_aou(LINEAR) > sim_aou(RANDOM_UPDATE)
    return above_random.on(*LINEARIZED_TASKS), *nulls_of(sim_aou(LINEAR), but=sim_aou(RANDOM_UPDATE))


@rethinking.claim("lin-am-above-zsl", where="table 4", rule=GENERALLY_OF_FOUR, on="printed trials")
def test_linearised_finetuning_brings_scores_closer_to_icl() -> Asked:
    """In-context learning's attention scores are closer to those after linearised finetuning than to the model's
    before.
    """
    return (sim_am(LINEAR) > sim_am(ZSL)).on(*LINEARIZED_TASKS), *NULLS


@rethinking.claim("lin-memory", where="section 3.5", rule=at_least(2, of=2), on="trials")
def test_memory_rules_linearised_finetuning_out_on_two_tasks(evidence: TaskEvidence, decide: Decide) -> None:
    """For want of memory, linearised finetuning cannot be evaluated on AGNews and CB."""
    asked = evidence.ask((sim_aou(LINEAR) > sim_aou(RANDOM_UPDATE)).on(*LEFT_OUT))
    papers_model = getattr(evidence, "details", {}).get("profile") == "paper"
    findings = tuple(reported_by(finding, papers_model=papers_model) for finding in asked.tasks)
    decide(replace(asked, question="linearised finetuning cannot be evaluated", findings=findings, upwards=None))


def reported_by(finding: Finding, *, papers_model: bool) -> Finding:
    """A task on which there are numbers of the papers' model is one that memory does not rule out."""
    if finding.outcome == "absent":
        return finding
    if not papers_model:
        return replace(finding, outcome="absent", needed=None, note="it was evaluated, but of a smaller model")
    return replace(finding, outcome="fails", needed=None, note="it was evaluated")
