"""Rethinking, section 3.4 and table 3: layer-causal finetuning with clipped gradients, on Subj."""

from __future__ import annotations

from dataclasses import replace

from icl_claims.claims import Asked, Comparison, Decide, jointly, rethinking
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.methods import Clipping, LayerCausal
from icl_claims.metrics import sim_am, sim_aou
from icl_claims.questions import Quantity

from ..quantities import CLIPPED, CLIPPED_ELSEWHERE, LC, ON_SUBJ, ZSL


@rethinking.claim("clip-fixes-am", where="section 3.4, table 3", rule=ON_SUBJ, on="printed author_runs trials")
def test_clipping_undoes_the_drop_of_attention_similarity() -> Asked:
    """Clipping gradients to a norm of 12, a value with nothing special about it, undoes the drop of SimAM on Subj: it
    rises above that of unclipped layer-causal finetuning, and above that before finetuning.
    """
    restored = (sim_am(CLIPPED) > sim_am(LC)) & (sim_am(CLIPPED) > sim_am(ZSL))
    largest_entry = LayerCausal(clip=Clipping(at=12.0, norm="l_inf"))
    return (
        restored.on("subj"),
        *((sim_am(other) > sim_am(LC)).on("subj") for other in (*CLIPPED_ELSEWHERE.values(), largest_entry)),
        sim_am(CLIPPED) > sim_am(LC),
        (sim_aou(CLIPPED) > sim_aou(LC)).on("subj"),
    )


@rethinking.claim("clip-linf", where="table 3", rule=ON_SUBJ, on="author_runs")
def test_no_other_norm_gives_the_printed_clipped_figures(evidence: TaskEvidence, decide: Decide) -> None:
    """The clipped figures of table 3 come from limiting the largest entry of the gradients (their l_inf norm) to 12."""
    # Clip 12 of the authors' code limits the length of all gradients together (their L2 norm), not the largest entry.
    decide(jointly([differs_from_table_3(evidence, metric(CLIPPED)) for metric in (sim_aou, sim_am)]))


def differs_from_table_3(evidence: TaskEvidence, quantity: Quantity) -> Comparison:
    """Whether a run gives other figures than the printed ones, which it then cannot explain."""
    from icl_claims.evidence.printed import PrintedEvidence

    printed = PrintedEvidence("rethinking").figure(quantity, "subj")
    assert printed is not None
    found = evidence.ask((quantity > printed.value).on("subj")).tasks[0]
    if found.difference is not None:
        same = abs(found.difference) <= printed.unit
        note = f"{quantity}, limited in the global L2 norm, gives {'the printed' if same else 'not the printed'} figure"
        found = replace(found, outcome="fails" if same else "unclear", low=None, high=None, note=note)
    question = f"the printed {quantity.metric.title} is not that of gradients limited in their global L2 norm"
    return Comparison(question, (found,), None, quantity, printed.value)
