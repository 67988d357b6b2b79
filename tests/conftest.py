"""Shapes and types in signatures are checked at run time in the tests, at no cost to users."""

from jaxtyping import install_import_hook

install_import_hook(
    ["icl_claims.theory", "icl_claims.metrics", "icl_claims.statistics", "icl_claims.models", "icl_claims.methods"],
    "beartype.beartype",
)
