"""Rethinking, section 3.4 and figure 3: two reasons why layer-causal finetuning might do worse.

Gradients are those of the keys' and values' projections, before any clipping. Where the two methods' are compared, it
is at the first step, which both take from the same weights; the ratio is a logarithm, 0 where they are equal.
"""

from quantities import LC_OVER_FT, LC_OVER_FT_AT_FIRST, LOWER_LAYERS, MIDDLE_LAYERS, UPPER_LAYERS, at

from icl_claims.claims import Claim, Quantity, jointly
from icl_claims.evidence.questions import Question, answered

LENS_LOSS = Quantity("lens_loss", "zero_shot")
DRIFT_FT, DRIFT_LC = Quantity("drift", "finetuning"), Quantity("drift", "layer_causal")
GRADIENT_FT, GRADIENT_LC = Quantity("gradient_norm", "finetuning"), Quantity("gradient_norm", "layer_causal")

LOWER_LAYERS_NOT_PREDICTORS = Claim(
    id="lower-layers-not-predictors",
    paper="rethinking",
    where="section 3.4, first fallacy",
    statement="Lower layers do not produce predictions: before any finetuning, the label read off a layer is worse "
    "the lower the layer.",
)

LC_DRIFT = Claim(
    id="lc-drift",
    paper="rethinking",
    where="section 3.4, first fallacy",
    statement="Layer-causal finetuning drifts further from the learned weights than standard finetuning, in the lower "
    "layers.",
)

LC_LOWER_GRAD = Claim(
    id="lc-lower-grad",
    paper="rethinking",
    where="section 3.4, second fallacy, and figure 3",
    statement="Gradients of the lower layers are larger in layer-causal than in standard finetuning, and the ratio "
    "falls with depth.",
)

GRAD_DAMPED = Claim(
    id="grad-damped",
    paper="rethinking",
    where="section 3.4, second fallacy, and figure 3",
    statement="What reaches the early layers through the whole model is damped: in standard finetuning their "
    "gradients are smaller than those of their own predictions' losses.",
)


@LOWER_LAYERS_NOT_PREDICTORS.decided_on("trials")
def test_predictions_read_off_lower_layers_are_worse(evidence, decide):
    lower, middle, upper = (at(LENS_LOSS, layers) for layers in (LOWER_LAYERS, MIDDLE_LAYERS, UPPER_LAYERS))
    steps = Question(lower, above=middle), Question(middle, above=upper)
    falling = jointly(evidence.compare(lower, above=middle), evidence.compare(middle, above=upper))
    decide(falling, beside=answered(evidence, Question(lower, above=upper), *steps))


@LC_DRIFT.decided_on("trials")
def test_layer_causal_finetuning_drifts_further_in_the_lower_layers(evidence, decide):
    everywhere = Question(DRIFT_LC, above=DRIFT_FT)
    more_than_above = Question(at(DRIFT_LC, LOWER_LAYERS), above=at(DRIFT_LC, UPPER_LAYERS))
    further = evidence.compare(at(DRIFT_LC, LOWER_LAYERS), above=at(DRIFT_FT, LOWER_LAYERS))
    decide(further, beside=answered(evidence, everywhere, more_than_above))


@LC_LOWER_GRAD.decided_on("trials")
def test_layer_causal_gradients_are_larger_in_the_lower_layers(evidence, decide):
    lower, upper = at(LC_OVER_FT_AT_FIRST, LOWER_LAYERS), at(LC_OVER_FT_AT_FIRST, UPPER_LAYERS)
    larger, falls_with_depth = evidence.compare(lower, above=0.0), evidence.compare(lower, above=upper)
    at_every_step = (
        Question(at(LC_OVER_FT, LOWER_LAYERS), above=0.0),
        Question(at(LC_OVER_FT, LOWER_LAYERS), above=at(LC_OVER_FT, UPPER_LAYERS)),
    )
    decide(jointly(larger, falls_with_depth), beside=[larger, falls_with_depth, *answered(evidence, *at_every_step)])


@GRAD_DAMPED.decided_on("trials")
def test_standard_gradients_of_early_layers_are_damped(evidence, decide):
    along_the_depth = Question(at(GRADIENT_FT, LOWER_LAYERS), below=at(GRADIENT_FT, UPPER_LAYERS))
    damped = evidence.compare(at(GRADIENT_FT, LOWER_LAYERS), below=at(GRADIENT_LC, LOWER_LAYERS))
    decide(damped, beside=answered(evidence, along_the_depth))
