"""Von Oswald et al. 2023: what training makes of two linear layers, and of one softmax head and of two."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from icl_claims.claims import CaseRule, Decide, von_oswald
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import in_context_regression as regression
from icl_claims.theory import learned_heads, repeated_layer
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory.training import Training

from ..over_seeds import decided_over_seeds

DEMONSTRATIONS, INPUTS = 10, 10
TRAINING_SEEDS = range(5)
HELD_OUT_TASKS = 10_000
HOW = Training(steps=2000)

# Two layers

REPEATS = 2
BOUNDS_OF_TWO_LAYERS = {
    "loss against two steps": (-np.inf, -0.15),
    "loss against GD++": (-0.05, 0.05),
    "loss of the average against GD++": (-0.05, 0.05),
    "difference from GD++ over difference from two steps": (-np.inf, 1.0),
}
RULE_OF_TWO_LAYERS = CaseRule(
    "the 95 % t interval over five training seeds lies within the bound: loss below .85 of that of two gradient steps "
    "with the best rate, and within 5 % of that of GD++ with the best eta and gamma, as is the loss of the average of "
    "both layers; models in effect nearer to GD++ than to gradient descent"
)


@von_oswald.claim("gdpp-beats-gd", where="section 3, figure 3", rule=RULE_OF_TWO_LAYERS, on="exact", trained=True)
def test_two_trained_layers_are_two_steps_of_gdpp(evidence: ExactEvidence, decide: Decide) -> None:
    """A layer of linear self-attention that is trained to be applied twice beats two steps of gradient descent, and is
    two steps of GD++ with one eta and one gamma: same loss, nearer models in effect, and the average of its weights and
    the constructed ones is as good.
    """
    tuned, held_out = (
        repeated_layer.draw(
            HELD_OUT_TASKS, demonstrations=DEMONSTRATIONS, inputs=INPUTS, generator=torch.Generator().manual_seed(seed)
        )
        for seed in (10_001, 10_002)
    )
    step, plus_plus = (repeated_layer.best_plus_plus(tuned, REPEATS, corrects=corrects) for corrects in (False, True))
    layers = (
        repeated_layer.train(seed, repeats=REPEATS, demonstrations=DEMONSTRATIONS, inputs=INPUTS, how=HOW)
        for seed in TRAINING_SEEDS
    )
    measured = [against_two_steps(layer, step, plus_plus, held_out) for layer in layers]
    decide(decided_over_seeds(RULE_OF_TWO_LAYERS, "a layer applied twice against GD++", measured, BOUNDS_OF_TWO_LAYERS))


def against_two_steps(
    trained: attention.LinearSelfAttention,
    step: attention.LinearSelfAttention,
    plus_plus: attention.LinearSelfAttention,
    tasks: repeated_layer.Regressions,
) -> Mapping[str, float]:
    """One trained layer against two steps of gradient descent and of GD++."""
    four = (trained, step, plus_plus, regression.average(trained, plus_plus, INPUTS))
    loss, of_step, of_plus_plus, of_average = (float(repeated_layer.loss(layer, REPEATS, tasks)) for layer in four)
    model, *others = (repeated_layer.model_in_effect(layer, REPEATS, tasks.demonstrations) for layer in four[:3])
    from_step, from_plus_plus = (float((model - other).square().mean()) for other in others)
    found = (loss / of_step, loss / of_plus_plus, of_average / of_plus_plus)
    return dict(zip(BOUNDS_OF_TWO_LAYERS, (*(ratio - 1 for ratio in found), from_plus_plus / from_step), strict=True))


# Softmax

BOUNDS_OF_SOFTMAX = {
    "loss of one head": (0.10, np.inf),
    "loss of two heads": (-np.inf, 0.10),
    "cosine of sensitivities, two heads minus one": (0.0, np.inf),
}
RULE_OF_SOFTMAX = CaseRule(
    "the 95 % t interval over five training seeds lies within the bound: loss of one softmax head more than 10 % above "
    "that of one gradient step with its best rate, of two heads less than 10 % above it, and the cosine of "
    "sensitivities with those of the step higher for two heads"
)


@von_oswald.claim(
    "softmax-one-head-falls-short",
    where="appendix on softmax self-attention, figure 12",
    rule=RULE_OF_SOFTMAX,
    on="exact",
    trained=True,
)
def test_two_softmax_heads_reach_what_one_does_not(evidence: ExactEvidence, decide: Decide) -> None:
    """One softmax head that is trained on regression in context stays clearly worse than a gradient step; two heads
    nearly reach it, and answer more as it does.
    """
    tuned, held_out = (
        regression.draw(
            HELD_OUT_TASKS, demonstrations=DEMONSTRATIONS, inputs=INPUTS, generator=torch.Generator().manual_seed(seed)
        )
        for seed in (10_001, 10_002)
    )
    step = regression.constructed(held_out, regression.best_step(tuned))
    measured = []
    for seed in TRAINING_SEEDS:
        one, two = (
            learned_heads.train(seed, heads=heads, demonstrations=DEMONSTRATIONS, inputs=INPUTS, how=HOW)
            for heads in (1, 2)
        )
        measured.append(against_a_step(one, two, step, held_out))
    decide(decided_over_seeds(RULE_OF_SOFTMAX, "softmax heads against a gradient step", measured, BOUNDS_OF_SOFTMAX))


def against_a_step(
    one: Tensor, two: Tensor, step: attention.LinearSelfAttention, tasks: regression.Tasks
) -> Mapping[str, float]:
    """One head and two, trained from the same seed, against the constructed layer."""
    best = float(regression.loss(step, tasks))
    losses = [float(learned_heads.loss(heads, tasks)) / best - 1 for heads in (one, two)]
    expected = regression.sensitivities(step, tasks)
    cosines = [
        float(torch.cosine_similarity(learned_heads.sensitivities(heads, tasks), expected, dim=-1).mean())
        for heads in (one, two)
    ]
    return dict(zip(BOUNDS_OF_SOFTMAX, (*losses, cosines[1] - cosines[0]), strict=True))
