"""icl_claims: every claim about in-context learning as gradient descent, as a test decided by evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icl_claims.claims import Claim as Claim
    from icl_claims.claims import Quantity as Quantity

__version__ = "0.1.0"
__all__ = ["Claim", "Quantity", "__version__"]


def __getattr__(name: str) -> object:
    """Import the public names only when they are used: the pytest plugin must start instantly."""
    if name in {"Claim", "Quantity"}:
        from icl_claims import claims

        return getattr(claims, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
