"""Rethinking, section 3.4 and figure 3: two reasons why layer-causal finetuning might do worse.

Gradients are those of the keys' and values' projections, before any clipping. Where the two methods' are compared, it
is at the first step, which both take from the same weights; the ratio is a logarithm, 0 where they are equal. What
layer-causal finetuning does at a layer is the gradient of that layer's own prediction, so that the ratio is also by how
much the layers above damp it.
"""

from icl_claims.claims import Asked, rethinking
from icl_claims.metrics import drift, first_gradient_norm, first_log_gradient_ratio, lens_loss, log_gradient_ratio

from ..quantities import FT, LC, LOWER_LAYERS, MIDDLE_LAYERS, UPPER_LAYERS, ZSL


@rethinking.claim("lower-layers-not-predictors", where="section 3.4, first fallacy", on="trials")
def test_predictions_read_off_lower_layers_are_worse() -> Asked:
    """Lower layers do not produce predictions: before any finetuning, the label read off a layer is worse the lower the
    layer.
    """
    lower, middle, upper = (lens_loss(ZSL).at(layers) for layers in (LOWER_LAYERS, MIDDLE_LAYERS, UPPER_LAYERS))
    return (lower > middle) & (middle > upper), lower > upper


@rethinking.claim("lc-drift", where="section 3.4, first fallacy", on="trials")
def test_layer_causal_drifts_further_in_the_lower_layers() -> Asked:
    """Layer-causal finetuning drifts further from the learned weights than standard finetuning, in the lower layers."""
    lower = drift(LC).at(LOWER_LAYERS)
    return lower > drift(FT).at(LOWER_LAYERS), drift(LC) > drift(FT), lower > drift(LC).at(UPPER_LAYERS)


@rethinking.claim("lc-lower-grad", where="section 3.4, second fallacy, and figure 3", on="trials")
def test_layer_causal_gradients_are_larger_in_the_lower_layers() -> Asked:
    """Gradients of the lower layers are larger in layer-causal than in standard finetuning, and the ratio falls with
    depth.
    """
    at_first, at_every_step = first_log_gradient_ratio(LC), log_gradient_ratio(LC)
    return (
        (at_first.at(LOWER_LAYERS) > 0.0) & (at_first.at(LOWER_LAYERS) > at_first.at(UPPER_LAYERS)),
        at_every_step.at(LOWER_LAYERS) > 0.0,
        at_every_step.at(LOWER_LAYERS) > at_every_step.at(UPPER_LAYERS),
    )


@rethinking.claim("grad-damped", where="section 3.4, second fallacy, and figure 3", on="trials")
def test_standard_gradients_of_early_layers_are_damped() -> Asked:
    """What reaches the early layers through the whole model is damped: in standard finetuning their gradients are
    smaller than those that the same weights have in the losses of these layers' own predictions.
    """
    early = first_gradient_norm(FT).at(LOWER_LAYERS)
    return (
        first_log_gradient_ratio(LC).at(LOWER_LAYERS) > 0.0,
        early < first_gradient_norm(LC).at(LOWER_LAYERS),
        early < first_gradient_norm(FT).at(UPPER_LAYERS),
    )
