"""How a model learns from demonstrations: one verb, `learn(model, demonstrations) -> Learned`."""

from icl_claims.methods.base import Answer, Learned, Method
from icl_claims.methods.clipping import Clipping
from icl_claims.methods.finetuning import Finetuning
from icl_claims.methods.gradient_diagnostics import accumulated_block_gradient_norms
from icl_claims.methods.layer_causal import LayerCausal
from icl_claims.methods.linearized import Linearized
from icl_claims.methods.nulls import another_querys_update, gaussian_update
from icl_claims.methods.perturbations import Paraphrased, Reordered, SwitchedLabels, learner_of
from icl_claims.methods.prompting import InContext, ZeroShot
from icl_claims.methods.training_tokens import TrainingTokens

__all__ = [
    "Answer",
    "Clipping",
    "Finetuning",
    "InContext",
    "LayerCausal",
    "Learned",
    "Linearized",
    "Method",
    "Paraphrased",
    "Reordered",
    "SwitchedLabels",
    "TrainingTokens",
    "ZeroShot",
    "accumulated_block_gradient_norms",
    "another_querys_update",
    "gaussian_update",
    "learner_of",
]
