"""A secondary question is left out where a source cannot answer it, so a slip in what it asks would go unseen."""

from __future__ import annotations

import pytest

from claims.quantities import FT, ICL, LC, LINEAR
from icl_claims.experiments.studies import study_of
from icl_claims.methods import Clipping, LayerCausal, SwitchedLabels
from icl_claims.metrics import RANDOM_UPDATE, kendall, lens_loss, order_spread, sim_am, sim_aou
from tests.quality.data_claims import data_claims

CLAIMS = [claim for claim in data_claims("trials") if claim.claim.questions]


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_every_quantity_that_a_claim_names_is_measured(claim):
    named = [quantity for question in claim.claim.questions for quantity in question.quantities]
    assert named
    assert [quantity.name for quantity in named if study_of(quantity) is None] == []


@pytest.mark.parametrize(
    "slip",
    [
        sim_aou(LayerCausal(clip=Clipping(at=13.0))),
        sim_aou(LayerCausal(norm_matched=True, update="sequential")),
        sim_am(RANDOM_UPDATE),
        sim_aou(LC, SwitchedLabels(ICL, "cyclic")),
        sim_aou(FT, SwitchedLabels(ICL, "permuted")),
        sim_aou(LC).of_weights("norms"),
        order_spread(LC),
        kendall(LINEAR),
        kendall(FT).of_weights("norms"),
        lens_loss(LINEAR),
    ],
    ids=lambda slip: slip.name,
)
def test_a_slip_is_noticed(slip):
    assert study_of(slip) is None
