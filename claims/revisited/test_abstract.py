"""Revisited, abstract: what per-layer training is said to explain."""

from icl_claims.claims import Asked, nulls_of, revisited
from icl_claims.metrics import rpa, sim_am, sim_am_update, sim_aou

from ..quantities import FT, LC


@revisited.claim("lc-explains-icl-better-b", where="abstract", on="printed author_runs trials")
def test_per_layer_training_is_more_like_icl_on_every_metric() -> Asked:
    """Per-layer training may be how in-context learning works: it is more like it than standard finetuning, in
    attention outputs, in attention scores and, where they were compared, in predictions.
    """
    return (
        (sim_aou(LC) > sim_aou(FT)) & (sim_am(LC) > sim_am(FT)) & (rpa(LC) > rpa(FT)).where_known,
        sim_am_update(LC) > sim_am_update(FT),
        *nulls_of(sim_aou(LC)),
        *nulls_of(sim_am(LC)),
    )
