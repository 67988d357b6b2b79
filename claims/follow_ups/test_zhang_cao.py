"""Zhang and Cao 2026: softmax attention takes normalised gradient steps of a classifier, and on which loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, zhang_cao
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import normalised_descent

from ..cases import SEEDS, learning_rates, normal


@dataclass(frozen=True, eq=False)
class Classification:
    """A linear classifier, and demonstrations with labels 1 and -1."""

    weights: Tensor
    inputs: Tensor
    labels: Tensor
    rate: float

    @property
    def margins(self) -> Tensor:
        """y_j w^T x_j."""
        return self.labels * (self.inputs @ self.weights)


@st.composite
def classifications(draw: st.DrawFn) -> Classification:
    """Two to six demonstrations in two to five dimensions."""
    inputs, demonstrations, seed = draw(st.integers(2, 5)), draw(st.integers(2, 6)), draw(SEEDS)
    labels = normal(seed + 2, demonstrations).sign()
    return Classification(
        normal(seed, inputs), normal(seed + 1, demonstrations, inputs), labels, draw(learning_rates())
    )


@zhang_cao.claim(
    "softmax-normalised-descent",
    where="abstract, as reported; the loss of a single head is ours",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_a_head_takes_a_normalised_step_on_exponential_loss(evidence: ExactEvidence, decide: Decide) -> None:
    """A softmax head with keys and values y_j x_j and the query -w takes a step of normalised gradient descent from w,
    -r grad L / L, on the exponential loss L = sum_j exp(-y_j w^T x_j).
    """

    @given(classifications())
    def the_head_equals_the_step(case: Classification) -> None:
        weights = torch.nn.Parameter(case.weights.clone())
        loss = (-case.labels * (case.inputs @ weights)).exp().sum()
        loss.backward()
        assert weights.grad is not None
        expected = case.weights - case.rate * weights.grad / loss.detach()
        reached = normalised_descent.step(case.weights, case.inputs, case.labels, case.rate)
        evidence.equal(reached, expected, "weights after a normalised step")
        signed = case.labels[:, None] * case.inputs
        read = torch.nn.functional.scaled_dot_product_attention(
            -case.weights[None, None], signed[None], signed[None], scale=1.0
        )
        evidence.equal(reached, case.weights + case.rate * read[0, 0], "torch's attention, and the step")

    decide(evidence.every(the_head_equals_the_step))


@test_a_head_takes_a_normalised_step_on_exponential_loss.claim.needs("exponential loss, not the logistic one")
def test_on_logistic_loss_the_direction_is_another(evidence: ExactEvidence, decide: Decide) -> None:
    """The gradient of the logistic loss points elsewhere, however it is normalised; with margins that grow it turns to
    the same direction.
    """

    @given(classifications())
    def two_directions(case: Classification) -> None:
        evidence.different(direction(case, case.margins), logistic(case, case.margins), "the two directions")
        far = case.margins - case.margins.min() + 30
        evidence.equal(direction(case, far), logistic(case, far), "the two directions at large margins")

    decide(evidence.every(two_directions))


def direction(case: Classification, margins: Tensor) -> Tensor:
    """The direction of a step on exponential loss, demonstrations weighed by exp(-margin)."""
    return of_length_one((-margins).exp() @ (case.labels[:, None] * case.inputs))


def logistic(case: Classification, margins: Tensor) -> Tensor:
    """That of a step on logistic loss, demonstrations weighed by 1 / (1 + exp(margin))."""
    return of_length_one((-margins).sigmoid() @ (case.labels[:, None] * case.inputs))


def of_length_one(step: Tensor) -> Tensor:
    """A step scaled to length 1."""
    scaled: Tensor = step / step.norm()
    return scaled
