"""icl_claims: every claim about in-context learning as gradient descent, as a test decided by evidence.

Start from `icl_claims.claims` to write a claim, `icl_claims.methods` to let a model learn from demonstrations,
`icl_claims.experiments` to run a trial, and `icl_claims.theory` for the mathematics.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
