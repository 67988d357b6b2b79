"""Shen et al. 2024, on the six tasks: how in-context learning and finetuning take the order of demonstrations, and what
they do to the output distribution.
"""

from icl_claims.claims import ON_MOST_TASKS, Asked, shen
from icl_claims.methods import Reordered
from icl_claims.metrics import order_spread, token_overlap

from ..quantities import COMPARABLE, FT, ICL, ZSL


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


@shen.claim(
    "output-distributions-differ",
    where="abstract, on output distributions; ten tokens as reported",
    rule=ON_MOST_TASKS,
    on="trials",
)
def test_finetuning_finds_other_tokens_probable() -> Asked:
    """Finetuning changes the output distribution in another way than in-context learning: on most tasks, its ten
    likeliest tokens have fewer in common with in-context learning's than those of in-context learning from the same
    demonstrations in another order.
    """
    of_another_order = token_overlap(Reordered(ICL, 1))
    return (
        token_overlap(FT) < of_another_order,
        token_overlap(FT) > token_overlap(ZSL),
        token_overlap(Reordered(FT, 1), FT) > token_overlap(FT),
    )
