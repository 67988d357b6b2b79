"""Shen et al. 2024, on the six tasks: how much the order of demonstrations matters, in context and in finetuning."""

from icl_claims.claims import Asked, shen
from icl_claims.metrics import order_spread

from ..quantities import COMPARABLE, FT, ICL


@shen.claim("order-sensitivity", where="order sensitivity of in-context learning and gradient descent", on="trials")
def test_order_matters_differently_in_context_and_in_finetuning() -> Asked:
    """In-context learning and finetuning are not equally sensitive to the order of the demonstrations: two orders
    change the predictions of one more often, by a tenth at least, than those of the other.
    """
    return (
        ~order_spread(FT).near(order_spread(ICL), within=COMPARABLE),
        order_spread(ICL) > order_spread(FT),
        order_spread(ICL) > 0.0,
        order_spread(FT) > 0.0,
    )
