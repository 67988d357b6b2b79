"""Shen et al. 2024, on the six tasks: how much the order of demonstrations matters, in context and in finetuning."""

from quantities import COMPARABLE, denied

from icl_claims.claims import Claim, Quantity
from icl_claims.evidence.questions import Question, answered

SPREAD_ICL = Quantity("order_spread", "in_context", study="orders")
SPREAD_FT = Quantity("order_spread", "finetuning", study="orders")

ORDER_SENSITIVITY = Claim(
    id="order-sensitivity",
    paper="shen",
    where="order sensitivity of in-context learning and gradient descent",
    statement="In-context learning and finetuning are not equally sensitive to the order of the demonstrations: two "
    "orders change the predictions of one more often, by a tenth at least, than those of the other.",
)


@ORDER_SENSITIVITY.decided_on("trials")
def test_order_matters_differently_in_context_and_in_finetuning(evidence, decide):
    more_in_context = Question(SPREAD_ICL, above=SPREAD_FT)
    any_in_context, any_in_finetuning = Question(SPREAD_ICL, above=0.0), Question(SPREAD_FT, above=0.0)
    alike = evidence.equivalent(SPREAD_FT, SPREAD_ICL, within=COMPARABLE)
    decide(denied(alike), beside=answered(evidence, more_in_context, any_in_context, any_in_finetuning))
