"""Claims ask what their sentences say: each on made-up evidence of which the sentence is plainly true, or false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from claims.quantities import CLIPPED, FT, LC
from claims.revisited.test_4_1_gradient_clipping import CLIPPED_TO_FT
from icl_claims.claims import EVERY_TASK
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.numbers import Numbers
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.metrics import sim_am, sim_aou
from icl_claims.statistics.intervals import Interval
from icl_claims.tasks import PAPERS_TASKS
from tests.fast.stored_trials import made_up_result
from tests.quality.data_claims import data_claims

STEPS, LAYERS, DRAWS = 16, 3, 12


def verdict(id_of_claim, evidence):
    (claim,) = [one for one in data_claims("trials") if one.claim.id == id_of_claim]
    return claim.decided_on(evidence).word


class Known(TaskEvidence):
    """Quantities of known size, each difference known to .01."""

    source = "trials"

    def __init__(self, values):
        self._values = values

    def numbers(self, question, tasks, errors):
        left, right = (self._values.get(side, 0.0) for side in question.sides)
        interval = Interval(left - right, left - right - 0.01, left - right + 0.01)
        return [Numbers(task, left, right, interval=interval) for task in (*tasks, EVERY_TASK)]

    def provenance(self):
        return {}


# "does not improve", "not higher"


@pytest.mark.parametrize(
    ("change", "word"), [(-0.1, "supported"), (0.0, "supported"), (0.005, "supported"), (0.035, "refuted")]
)
def test_what_is_as_good_as_before_does_not_improve(change, word):
    before = {sim_aou(LC): 0.4, sim_am(LC): 0.4}
    after = {sim_aou(CLIPPED_TO_FT): 0.4 + change, sim_am(CLIPPED_TO_FT): 0.4 + change}
    assert verdict("clip-to-ft-norm", Known(before | after)) == word


@pytest.mark.parametrize(
    ("standard", "word"), [(0.6, "supported"), (0.4, "supported"), (0.395, "supported"), (0.35, "refuted")]
)
def test_what_is_as_high_is_not_higher(standard, word):
    similarities = {sim_am(LC): 0.3, sim_am(CLIPPED): 0.4, sim_am(FT): standard}
    assert verdict("clip-above-unclipped", Known(similarities)) == word


# "on average over tasks"


class OnAverage(TaskEvidence):
    """Tasks of which none is known well enough, and their mean, which is."""

    source = "trials"

    def __init__(self, mean, of_tasks):
        self._mean, self._of_tasks = mean, of_tasks

    def numbers(self, question, tasks, errors):
        return [
            *(Numbers(task, interval=Interval(0.0, *self._of_tasks)) for task in tasks),
            Numbers(EVERY_TASK, interval=Interval(0.0, *self._mean)),
        ]

    def provenance(self):
        return {}


@pytest.mark.parametrize(
    ("mean", "of_tasks", "word"),
    [
        ((0.01, 0.05), (-0.1, 0.1), "supported"),
        ((-0.05, -0.01), (-0.1, 0.1), "refuted"),
        ((-0.05, -0.01), (0.01, 0.05), "refuted"),
        ((-0.01, 0.05), (0.01, 0.05), "inconclusive"),
    ],
)
def test_the_mean_decides_what_is_said_of_the_average(mean, of_tasks, word):
    assert verdict("rec2ftp-above-85", OnAverage(mean, of_tasks)) == word


# Gradients


def gradients(at_first, later):
    """Trials whose gradients are, layer-causal over standard, this many times as long at the first and later steps."""
    stream, results = np.random.default_rng(0), {}
    times = np.stack([np.broadcast_to(at_first, LAYERS), *[np.broadcast_to(later, LAYERS)] * (STEPS - 1)])
    for task in PAPERS_TASKS:
        results[task] = []
        for seed in range(DRAWS):
            result = made_up_result(seed, task=task)
            standard = np.exp(stream.normal(size=(STEPS, LAYERS)))
            noise = np.exp(0.05 * stream.normal(size=(STEPS, LAYERS)))
            norms = {"finetuning": standard, "layer_causal": standard * times * noise}
            results[task].append(replace(result, gradient_norms=norms, failures={}))
    return TrialsEvidence({"main": results})


@pytest.mark.parametrize(("at_first", "later", "word"), [(2.0, 0.5, "supported"), (0.5, 2.0, "refuted")])
@pytest.mark.parametrize("claim", ["grad-damped", "grad-norm-b"])
def test_gradients_are_compared_at_equal_weights(claim, at_first, later, word):
    assert verdict(claim, gradients(at_first, later)) == word


def test_larger_gradients_need_not_fall_with_depth():
    rising = gradients(np.linspace(2.0, 4.0, LAYERS), 1.0)
    assert verdict("grad-norm-b", rising) == "supported"
    assert verdict("lc-lower-grad", rising) == "refuted"
