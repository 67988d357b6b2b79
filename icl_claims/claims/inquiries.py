"""What a reader asks of claims on in-context learning as gradient descent: the question that each claim belongs to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from icl_claims.metrics import LayerMetric, LearningMetric, PredictionMetric
from icl_claims.questions import Quantity, Question

About = Literal["algebra", "training", "predictions", "activations", "layers", "rivals"]


@dataclass(frozen=True)
class Inquiry:
    """A question of the field, which many claims answer in part.

    Args:
        name: As a claim declares it.
        question: As a reader asks it.
        of: What its claims are about, to be said after "claims about".
    """

    name: About
    question: str
    of: str


INQUIRIES = (
    Inquiry("algebra", "What is the algebra?", "what follows from definitions"),
    Inquiry("training", "Does training find it?", "what training arrives at"),
    Inquiry("predictions", "Do predictions agree?", "answers to queries"),
    Inquiry("activations", "Do activations agree?", "what happens inside"),
    Inquiry("layers", "Layer by layer?", "layers, and updates that respect their order"),
    Inquiry("rivals", "Which rivals explain more?", "what else could explain in-context learning"),
)
INQUIRY = {inquiry.name: inquiry for inquiry in INQUIRIES}


def inquiry_of(questions: Collection[Question], sources: Collection[str], *, trained: bool) -> About:
    """The question that a claim belongs to which declares none, by what it asks and by what decides it.

    >>> inquiry_of([], ["exact"], trained=True)
    'training'
    """
    if "exact" in sources:
        return "training" if trained else "algebra"
    asked = [quantity for question in questions for quantity in question.quantities]
    if any(map(_of_layers, asked)):
        return "layers"
    if any(isinstance(quantity.metric, LayerMetric) for quantity in asked):
        return "activations"
    if all(isinstance(quantity.metric, PredictionMetric) for quantity in asked):
        return "predictions"
    return "layers"


def _of_layers(quantity: Quantity) -> bool:
    methods = (quantity.method, quantity.reference)
    causal = any(getattr(method, "name", "").startswith("layer_causal") for method in methods)
    return causal or isinstance(quantity.metric, LearningMetric)
