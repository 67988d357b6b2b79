"""Shapes and types in signatures are checked at run time in the tests, on one thread: the tensors are small.

Examples are those of exact claims: the same in every run, unless a seed or a profile of Hypothesis is chosen.
"""

import torch
from hypothesis import settings
from jaxtyping import install_import_hook

torch.set_num_threads(1)

install_import_hook(
    ["icl_claims.theory", "icl_claims.metrics", "icl_claims.statistics", "icl_claims.models", "icl_claims.methods"],
    "beartype.beartype",
)

from icl_claims.evidence.exact import PROFILE  # noqa: E402  the hook comes first

settings.load_profile(PROFILE)
