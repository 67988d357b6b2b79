"""Revisited, section 4.1, table 1 and figure 2: per-layer training against standard finetuning."""

from icl_claims.claims import ON_MOST_TASKS, Asked, at_least, nulls_of, revisited
from icl_claims.metrics import first_log_gradient_ratio, log_gradient_ratio, sim_am, sim_am_update, sim_aou

from ..quantities import FT, LC, LOWER_LAYERS, UPPER_LAYERS, ZSL


@revisited.claim(
    "lc-aou-higher-b",
    where="section 4.1, table 1",
    rule=at_least(5, overall=True),
    on="printed author_runs trials",
)
def test_per_layer_training_moves_outputs_more_as_icl_does() -> Asked:
    """On average, and on all tasks but one at most, attention outputs move more in in-context learning's direction in
    per-layer training than in standard finetuning.
    """
    return sim_aou(LC) > sim_aou(FT), *nulls_of(sim_aou(LC))


@revisited.claim("lc-am-below-zsl", where="section 4.1, table 1", rule=ON_MOST_TASKS, on="printed author_runs trials")
def test_per_layer_training_takes_attention_scores_away_from_icl() -> Asked:
    """On most tasks, per-layer training leaves attention scores further from in-context learning's than they were
    before any training.
    """
    return (
        sim_am(LC) < sim_am(ZSL),
        sim_am(LC) < sim_am(FT),
        sim_am_update(LC) < sim_am_update(FT),
        *nulls_of(sim_am(LC)),
    )


@revisited.claim("grad-norm-b", where="section 4.1, figure 2", on="trials")
def test_gradients_of_per_layer_training_are_larger() -> Asked:
    """Gradients of the lower attention layers are larger in per-layer training than in standard finetuning."""
    at_first = first_log_gradient_ratio(LC)
    lower = at_first.at(LOWER_LAYERS)
    return lower > 0.0, lower > at_first.at(UPPER_LAYERS), at_first > 0.0, log_gradient_ratio(LC) > 0.0
