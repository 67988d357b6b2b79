"""Causal language models, all run through one attention function of ours."""

from icl_claims.models.attention import Keys, Prefix
from icl_claims.models.blocks import ROWS_READ_AT_ONCE, Blocks, hidden_of
from icl_claims.models.families import TunedParameter, layer_norms
from icl_claims.models.language_model import LanguageModel, Weights
from icl_claims.models.precision import all_finite, as_float, at_least_single
