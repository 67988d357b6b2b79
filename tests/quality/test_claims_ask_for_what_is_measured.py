"""A question beside a claim is left out where a source cannot answer it, so a slip in its name would go unseen."""

from __future__ import annotations

import pytest

from icl_claims.experiments.measure import DIAGNOSED, LENGTHS, RANDOM, WITH_NULLS, ZERO_SHOT, pairs
from icl_claims.experiments.result import IN_CONTEXT, LAYER_METRICS, METRICS, PREDICTION_METRICS, SIMILARITIES
from icl_claims.experiments.studies import STUDIES
from tests.quality.data_claims import data_claims, questions_of, sides_of

CLAIMS = data_claims("trials")


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_every_quantity_that_a_claim_names_is_measured(claim):
    assert [str(quantity) for quantity in sides_of(questions_of(claim)) if not is_measured(quantity)] == []


def test_a_slip_is_noticed():
    from icl_claims.claims import Quantity

    slips = (
        Quantity("sim_aou", "finetunning"),
        Quantity("simaou", "finetuning"),
        Quantity("sim_am", "layer_causal_clip_12"),
        Quantity("sim_am", "random_update"),
        Quantity("sim_aou", "finetuning", "in_context_cyclic_labels"),
        Quantity("order_spread", "finetuning"),
        Quantity("kendall", "linearized"),
        Quantity("kendall", "finetuning", study="labels"),
        Quantity("lens_loss", "linearized"),
    )
    assert [quantity for quantity in slips if is_measured(quantity)] == []


def is_measured(quantity) -> bool:
    """Whether trials hold a quantity."""
    study = STUDIES[quantity.study]
    learned = tuple(method.name for method in study.methods(0.1))
    answered = (ZERO_SHOT, IN_CONTEXT, *learned)
    diagnosed = set(DIAGNOSED) & set(answered) if study.diagnostics else set()
    metric, method, reference = quantity.metric, quantity.method, quantity.reference
    if metric == "order_spread":
        return f"{method}_order_1" in answered
    if metric in PREDICTION_METRICS:
        return {method, reference} <= set(answered)
    if metric == "lens_loss":
        return method in diagnosed
    if metric == "kendall":
        return study.diagnostics and method in {RANDOM, LENGTHS} | diagnosed - {IN_CONTEXT}
    if metric in SIMILARITIES:
        return (method, reference) in pairs(answered) or is_null(quantity, answered)
    return metric in set(METRICS) - set(LAYER_METRICS) and method in learned


def is_null(quantity, answered) -> bool:
    """Whether a similarity is one of the nulls that are measured beside the methods."""
    nulls = {f"{null}_of_{name}" for null in ("gaussian", "other_query") for name in WITH_NULLS if name in answered}
    return quantity.method in nulls or (quantity.method, quantity.metric) == (RANDOM, "sim_aou")
