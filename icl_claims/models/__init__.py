"""Causal language models, all run through one attention function of ours."""

from icl_claims.models.attention import Keys, Prefix
from icl_claims.models.blocks import (
    Blocks,
    TunedParameter,
    all_finite,
    as_float,
    at_least_single,
    hidden_of,
    layer_norms,
    output_replaced,
    outputs_at,
)
from icl_claims.models.language_model import LanguageModel, Weights
from icl_claims.models.random_models import Kept, untrained
from icl_claims.models.read_out import ReadOut
from icl_claims.storage.files import Say
