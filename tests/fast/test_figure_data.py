"""The numbers behind the figures that a report draws of our trials."""

from __future__ import annotations

import json

import numpy as np

from icl_claims.evidence.figure_data import figure_data
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Clipping, Finetuning, LayerCausal

CLIPPED = tuple(LayerCausal(clip=clip) for clip in (Clipping(12.0), Clipping(0.2), Clipping(norm="finetuning")))


def trial(labels, gold, *, by_layer=None, gradient_norms=None, weights="trained"):
    """A trial in which each method predicts the given labels."""
    queries, methods = len(gold), (Finetuning(), LayerCausal(), *CLIPPED)
    certain = {name: np.log(np.eye(2)[list(given)] * 0.98 + 0.01) for name, given in labels.items()}
    return TrialResult(
        TrialSpec("model", "data", "sst2", 16, 0, 0, None, methods, weights),
        np.arange(queries),
        np.array(gold),
        certain,
        {name: np.zeros((1, 2)) for name in labels},
        {Entry(*entry): values for entry, values in (by_layer or {}).items()},
        gradient_norms=gradient_norms or {},
        provenance={"model": "a model"},
    )


GOLD = [0, 0, 1, 1, 1]
LABELS = {"zero_shot": [0, 1, 0, 0, 1], "in_context": [0, 0, 1, 0, 0], "finetuning": [1, 0, 0, 0, 0]}


def drawn(result, **studies):
    results = {"main": result, **studies}
    return figure_data(TrialsEvidence({study: {"sst2": [one]} for study, one in results.items()}), list(results))


def test_every_changed_prediction_is_shared_or_of_one_method():
    changes = drawn(trial(LABELS, GOLD))["changes"]["sst2"]
    assert changes == {
        "shared": {"correct": 1, "incorrect": 1},
        "in_context": {"correct": 1, "incorrect": 0},
        "finetuning": {"correct": 0, "incorrect": 1},
    }


def test_what_is_not_a_number_is_null_in_json():
    by_layer = {
        ("sim_am_update", "finetuning"): np.array([[np.nan, 0.5], [np.nan, 0.7], [np.nan, 0.6]] + [[np.nan, 0.6]] * 2)
    }
    found = drawn(trial(LABELS, GOLD, by_layer=by_layer))
    assert found["by_layer"]["sst2"]["sim_am_update"]["finetuning"] == [None, 0.6]
    assert json.loads(json.dumps(found, allow_nan=False))["values"]["sst2"]["sim_am_update"]["finetuning"] == 0.6


def test_the_gradient_norms_are_those_of_the_first_draw():
    norms = {"finetuning": np.array([[1.0, 2.0]]), "layer_causal": np.array([[3.0, 4.0]])}
    assert drawn(trial(LABELS, GOLD, gradient_norms=norms))["gradient_norms"]["sst2"] == {
        "finetuning": [[1.0, 2.0]],
        "layer_causal": [[3.0, 4.0]],
    }


def test_a_clip_sweep_puts_no_clipping_last():
    names = [method.name for method in (LayerCausal(), *CLIPPED)]
    metrics = ("sim_aou", "sim_am", "sim_am_update")
    by_layer = {(metric, name): np.full((5, 2), 0.25) for metric in metrics for name in names}
    clipped = trial(LABELS, GOLD, by_layer=by_layer)
    sweep = drawn(trial(LABELS, GOLD), clips=clipped)["clip_sweep"]["sst2"]
    assert [point["clip"] for point in sweep] == [0.2, 12.0, None]


def test_untrained_models_are_not_in_the_pictures():
    other = trial(LABELS, GOLD, by_layer={("sim_aou", "finetuning"): np.ones((5, 2))}, weights="norms")
    found = drawn(trial(LABELS, GOLD), untrained_norms=other)
    assert "sim_aou" not in found["values"]["sst2"]
    assert found["by_layer"] == {"sst2": {}}


def test_the_legend_says_how_each_thing_is_called_and_drawn():
    measured = {
        ("sim_aou", name): np.ones((5, 2)) for name in ("finetuning", "gaussian_of_finetuning", CLIPPED[0].name)
    }
    legend = drawn(trial(LABELS, GOLD, by_layer=measured))["legend"]
    assert legend["sim_aou"] == {"title": "SimAOU", "null": False, "drawn": True, "look": None}
    assert legend["finetuning"] == {"title": "finetuning", "null": False, "drawn": True, "look": Finetuning().look}
    assert (legend["gaussian_of_finetuning"]["null"], legend["gaussian_of_finetuning"]["drawn"]) == (True, False)
    assert legend[CLIPPED[0].name]["drawn"] is False
