"""Shapes and types in signatures are checked at run time in the tests, on one thread: the tensors are small."""

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)

install_import_hook(
    ["icl_claims.theory", "icl_claims.metrics", "icl_claims.statistics", "icl_claims.models", "icl_claims.methods"],
    "beartype.beartype",
)
