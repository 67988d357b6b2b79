"""How a model learns from demonstrations: one verb, `learn(model, demonstrations) -> Learned`."""

from icl_claims.methods.base import (
    Learned,
    Method,
    TrainingTokens,
    at_rate,
    is_diagnosed,
    learner_of,
    learns_weights,
    variant_of,
)
from icl_claims.methods.descent import Clipping
from icl_claims.methods.finetuning import Finetuning
from icl_claims.methods.kernel_regression import KernelRegression
from icl_claims.methods.layer_causal import LayerCausal
from icl_claims.methods.linearized import Linearized
from icl_claims.methods.nulls import AnotherQuerysUpdate, Batch, GaussianUpdate, Null, nulls_of_method
from icl_claims.methods.prompting import (
    AskedInOtherWords,
    InContext,
    MixedLabels,
    Paraphrased,
    Reordered,
    SwitchedLabels,
    ZeroShot,
    pairs,
)
from icl_claims.methods.task_vector import TaskVector
