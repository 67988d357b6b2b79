"""Rethinking, section 6: what the paper concludes."""

from icl_claims.claims import Asked, at_least, nulls_of, rethinking
from icl_claims.metrics import rpa, sim_am, sim_am_update, sim_aou

from ..quantities import FT, LC


@rethinking.claim(
    "icl-ft-misaligned", where="section 6", rule=at_least(4, overall=True), on="printed author_runs trials"
)
def test_icl_and_finetuning_are_misaligned_overall() -> Asked:
    """Predictions of in-context learning and finetuning are misaligned: overall, and on most tasks, they share fewer
    than half of their changes.
    """
    return rpa(FT) < 0.5


@rethinking.claim("lc-explains-icl-better", where="section 6", on="printed author_runs trials")
def test_layer_causal_is_more_like_icl_on_every_metric() -> Asked:
    """Layer-causal finetuning is more like in-context learning than standard finetuning is: in attention outputs, in
    attention scores and, where they were compared, in predictions.
    """
    return (
        (sim_aou(LC) > sim_aou(FT)) & (sim_am(LC) > sim_am(FT)) & (rpa(LC) > rpa(FT)).where_known,
        sim_am_update(LC) > sim_am_update(FT),
        *nulls_of(sim_aou(LC)),
        *nulls_of(sim_am(LC)),
    )
