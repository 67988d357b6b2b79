"""Revisited, section 4.1 and table 2: what clipped gradients do to per-layer training."""

from quantities import AM_FT, AM_LC, AOU_LC, ON_SUBJ, SUBJ, clipped

from icl_claims.claims import CaseRule, Claim, Comparison, Finding, jointly
from icl_claims.evidence.questions import Question, answered

OTHER_LIMITS = ("0.2", "1", "5", "9", "15")

CLIP_ABOVE_UNCLIPPED = Claim(
    id="clip-above-unclipped",
    paper="revisited",
    where="table 2",
    statement="On Subj, gradients clipped to a norm of 12 give per-layer training a higher SimAM than unclipped ones, "
    "but not a higher one than standard finetuning's.",
    rule=ON_SUBJ,
)

CLIP_TASK_DEPENDENT = Claim(
    id="clip-task-dependent",
    paper="revisited",
    where="section 4.1",
    statement="Each task requires its own clipping: some tasks have a higher SimAM with gradients clipped to 12, the "
    "value chosen for Subj, and some with another value or with none.",
    rule=CaseRule("holds when two tasks want opposite things of 12 and one other value"),
)

CLIP_TO_FT_NORM = Claim(
    id="clip-to-ft-norm",
    paper="revisited",
    where="section 4.1",
    statement="Clipping each layer's gradient to its norm in standard finetuning improves neither SimAOU nor SimAM on "
    "Subj.",
    rule=ON_SUBJ,
)


@CLIP_ABOVE_UNCLIPPED.decided_on("printed", "author_runs", "trials")
def test_clipped_gradients_do_better_than_unclipped_but_not_than_standard(evidence, decide):
    clip_12 = clipped("sim_am", "12")
    above_unclipped = evidence.compare(clip_12, above=AM_LC, tasks=SUBJ)
    not_above_standard = evidence.compare(clip_12, below=AM_FT, tasks=SUBJ)
    outputs = Question(clipped("sim_aou", "12"), above=AOU_LC, tasks=SUBJ)
    decide(jointly(above_unclipped, not_above_standard), beside=answered(evidence, outputs))


@CLIP_TASK_DEPENDENT.decided_on("author_runs", "trials")
def test_tasks_want_different_clipping(evidence, decide):
    than_unclipped = evidence.compare(clipped("sim_am", "12"), above=AM_LC)
    than_others = [Question(clipped("sim_am", "12"), above=clipped("sim_am", limit)) for limit in OTHER_LIMITS]
    pairs = (than_unclipped, *answered(evidence, *than_others))
    decide(the_clearest(tuple(wanted_by_some_and_not_by_others(pair) for pair in pairs)), beside=pairs)


@CLIP_TO_FT_NORM.decided_on("author_runs", "trials")
def test_clipping_to_the_norms_of_standard_finetuning_does_not_help(evidence, decide):
    outputs, scores = clipped("sim_aou", "to_finetuning"), clipped("sim_am", "to_finetuning")
    not_better = jointly(
        evidence.compare(outputs, below=AOU_LC, tasks=SUBJ),
        evidence.compare(scores, below=AM_LC, tasks=SUBJ),
    )
    every_task = Question(outputs, below=AOU_LC), Question(scores, below=AM_LC)
    decide(not_better, beside=answered(evidence, *every_task))


def wanted_by_some_and_not_by_others(pair: Comparison) -> Finding:
    """Whether the better of two clippings depends on the task."""
    case = f"12 or {'none' if pair.right == AM_LC else pair.right.method.removeprefix('layer_causal_clip_')}"
    decided = [finding.outcome for finding in pair.tasks if finding.outcome != "absent"]
    if len(decided) < 2:
        return Finding(case, "absent", note=next((finding.note for finding in pair.tasks if finding.note), ""))
    if {"holds", "fails"} <= set(decided):
        return Finding(
            case, "holds", note=f"better with 12 on {decided.count('holds')}, worse on {decided.count('fails')}"
        )
    return Finding(case, "unclear" if "unclear" in decided else "fails", note="no two tasks want opposite things")


def the_clearest(findings: tuple[Finding, ...]) -> Comparison:
    """One pair of clippings of which the better depends on the task is enough."""
    clearest = min(findings, key=lambda finding: ("holds", "unclear", "fails", "absent").index(finding.outcome))
    return Comparison("which clipping is better depends on the task", (clearest,), None)
