"""Rethinking, section 3.4 and table 3: layer-causal finetuning with clipped gradients, on Subj."""

from dataclasses import replace

from quantities import AM_BEFORE, AM_LC, AOU_LC, ON_SUBJ, SUBJ, clipped

from icl_claims.claims import Claim, Comparison, Quantity, jointly
from icl_claims.evidence.questions import Question, answered

OTHER_LIMITS = ("0.2", "1", "5", "9", "15")

CLIP_FIXES_AM = Claim(
    id="clip-fixes-am",
    paper="rethinking",
    where="section 3.4, table 3",
    statement="Clipping gradients to a norm of 12, a value with nothing special about it, undoes the drop of SimAM on "
    "Subj: it rises above that of unclipped layer-causal finetuning, and above that before finetuning.",
    rule=ON_SUBJ,
)

CLIP_LINF = Claim(
    id="clip-linf",
    paper="rethinking",
    where="table 3",
    statement="The clipped figures of table 3 come from limiting the largest entry of the gradients (their l_inf norm) "
    "to 12.",
    rule=ON_SUBJ,
)


@CLIP_FIXES_AM.decided_on("printed", "author_runs", "trials")
def test_clipping_undoes_the_drop_of_attention_similarity(evidence, decide):
    clip_12 = clipped("sim_am", "12")
    restored = jointly(
        evidence.compare(clip_12, above=AM_LC, tasks=SUBJ),
        evidence.compare(clip_12, above=AM_BEFORE, tasks=SUBJ),
    )
    other_limits = [Question(clipped("sim_am", limit), above=AM_LC, tasks=SUBJ) for limit in OTHER_LIMITS]
    largest_entry = Question(clipped("sim_am", "linf_12"), above=AM_LC, tasks=SUBJ)
    every_task = Question(clip_12, above=AM_LC)
    outputs = Question(clipped("sim_aou", "12"), above=AOU_LC, tasks=SUBJ)
    decide(restored, beside=answered(evidence, *other_limits, largest_entry, every_task, outputs))


@CLIP_LINF.decided_on("author_runs")
def test_no_run_clipped_in_another_norm_gives_the_printed_figures(evidence, decide):
    # Clip 12 of the authors' code limits the length of all gradients together (their L2 norm), not the largest entry.
    decide(jointly(*(differs_from_table_3(evidence, clipped(metric, "12")) for metric in ("sim_aou", "sim_am"))))


def differs_from_table_3(evidence, quantity: Quantity) -> Comparison:
    """Whether a run gives other figures than the printed ones, which it then cannot explain."""
    from icl_claims.evidence.printed import PrintedEvidence

    printed = PrintedEvidence("rethinking").figure(quantity, "subj")
    found = evidence.compare(quantity, above=printed.value, tasks=SUBJ).tasks[0]
    if found.difference is not None:
        same = abs(found.difference) <= printed.unit
        note = f"{quantity}, limited in the global L2 norm, gives {'the printed' if same else 'not the printed'} figure"
        found = replace(found, outcome="fails" if same else "unclear", low=None, high=None, note=note)
    question = f"the printed {quantity.metric} is not that of gradients limited in their global L2 norm"
    return Comparison(question, (found,), None, quantity, printed.value)
