"""Revisited, section 4.1 and table 2: what clipped gradients do to per-layer training."""

from __future__ import annotations

from collections.abc import Sequence

from icl_claims.claims import Asked, CaseRule, Comparison, Decide, Finding, revisited
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.verdicts import Ask, tried_against_noise
from icl_claims.methods import Clipping, LayerCausal
from icl_claims.metrics import sim_am, sim_aou
from icl_claims.statistics.error_rates import ALLOWED, Errors

from ..quantities import CLIPPED, CLIPPED_ELSEWHERE, COMPARABLE, FT, LC, ON_SUBJ

IN_OPPOSITE_WAYS = CaseRule("holds when two tasks want opposite things of 12 and one other value")
_LOOKED_AT = 6 * (1 + len(CLIPPED_ELSEWHERE))  # tasks and pairs of clippings, any of which is enough
ANY_OF_THEM = Errors(ALLOWED / _LOOKED_AT, ALLOWED / _LOOKED_AT)
CLIPPED_TO_FT = LayerCausal(clip=Clipping(norm="finetuning"))


@revisited.claim("clip-above-unclipped", where="table 2", rule=ON_SUBJ, on="printed author_runs trials")
def test_clipped_gradients_beat_unclipped_but_not_standard() -> Asked:
    """On Subj, gradients clipped to a norm of 12 give per-layer training a higher SimAM than unclipped ones, but not a
    higher one than standard finetuning's.
    """
    between = (sim_am(CLIPPED) > sim_am(LC)) & sim_am(CLIPPED).not_above(sim_am(FT), within=COMPARABLE)
    return between.on("subj"), (sim_am(CLIPPED) < sim_am(FT)).on("subj"), (sim_aou(CLIPPED) > sim_aou(LC)).on("subj")


@revisited.claim(
    "clip-task-dependent",
    where="section 4.1",
    rule=IN_OPPOSITE_WAYS,
    on="author_runs trials",
)
def test_tasks_want_different_clipping(evidence: TaskEvidence, decide: Decide) -> None:
    """Each task requires its own clipping: some tasks have a higher SimAM with gradients clipped to 12, the value
    chosen for Subj, and some with another value or with none.
    """
    others = {"none": LC, **CLIPPED_ELSEWHERE}
    tried = {at: (sim_am(CLIPPED) > sim_am(other)).allowing(ANY_OF_THEM) for at, other in others.items()}
    known = {at: question for at, question in tried.items() if at == "none" or evidence.answers(question)}

    def clearest(ask: Ask) -> Comparison:
        findings = [wanted_by_some_and_not_by_others(f"12 or {at}", ask(question)) for at, question in known.items()]
        return the_clearest(findings)

    nulls = tried_against_noise(IN_OPPOSITE_WAYS, evidence, tuple(known.values()), clearest)
    decide(clearest(evidence.ask), beside=evidence.answers(*known.values()), nulls=nulls)


@revisited.claim("clip-to-ft-norm", where="section 4.1", rule=ON_SUBJ, on="author_runs trials")
def test_clipping_to_the_norms_of_finetuning_does_not_help() -> Asked:
    """Clipping each layer's gradient to its norm in standard finetuning improves neither SimAOU nor SimAM on Subj."""
    outputs, scores = (metric(CLIPPED_TO_FT).not_above(metric(LC), within=COMPARABLE) for metric in (sim_aou, sim_am))
    return (outputs & scores).on("subj"), outputs, scores


def wanted_by_some_and_not_by_others(case: str, pair: Comparison) -> Finding:
    """Whether the better of two clippings depends on the task."""
    decided = [finding.outcome for finding in pair.tasks if finding.outcome != "absent"]
    if len(decided) < 2:
        return Finding(case, "absent", note=next((finding.note for finding in pair.tasks if finding.note), ""))
    if {"holds", "fails"} <= set(decided):
        note = f"better with 12 on {decided.count('holds')}, worse on {decided.count('fails')}"
        return Finding(case, "holds", note=note)
    higher = f"12 is higher on {pair.in_favour()} of {len(decided)} by the plain numbers"
    note = f"no two tasks are shown to want opposite things ({higher})"
    return Finding(case, "unclear" if "unclear" in decided else "fails", note=note)


def the_clearest(findings: Sequence[Finding]) -> Comparison:
    """One pair of clippings of which the better depends on the task is enough."""
    clearest = min(findings, key=lambda finding: ("holds", "unclear", "fails", "absent").index(finding.outcome))
    return Comparison("which clipping is better depends on the task", (clearest,), None)
