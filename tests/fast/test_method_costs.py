"""What methods take is learnt from trials; until one ran, from those that learn as it does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.methods import Finetuning, LayerCausal, Linearized, Reordered
from icl_claims.pytest_plugin.method_costs import ANSWER, LEARN, MethodCosts

FT, LC = Finetuning(), LayerCausal()


def told(seconds, *methods):
    """A trial of zero-shot, in-context learning and some methods that took so many seconds."""
    trial = SimpleNamespace(spec=SimpleNamespace(answering=(ZERO_SHOT, IN_CONTEXT, *methods)), seconds=seconds)
    trial.seconds_of = lambda names: TrialResult.seconds_of(trial, names)
    return trial


def test_a_method_takes_what_it_took_in_the_mean():
    costs = MethodCosts()
    costs.note(told({"learn finetuning": 1.0, "answer finetuning": 0.5, "answer zero_shot": 0.1}, FT))
    costs.note(told({"learn finetuning": 2.0, "answer finetuning": 0.5, "answer zero_shot": 0.3}, FT))
    assert costs.of(FT) == pytest.approx(2.0)
    assert costs.of(ZERO_SHOT) == pytest.approx(0.2)


def test_what_all_methods_have_in_common_is_shared_among_them():
    trial = told({"answer finetuning": 1.0, "metrics": 0.9}, FT)
    assert trial.seconds_of({"finetuning"}) == pytest.approx(1.3)
    assert trial.seconds_of({"finetuning", "zero_shot", "in_context"}) == pytest.approx(1.9)


def test_a_method_that_did_not_run_takes_what_others_do_that_learn_as_it_does():
    costs = MethodCosts()
    assert (costs.of(LC), costs.of(IN_CONTEXT)) == (LEARN, ANSWER)
    costs.note(told({"learn finetuning": 3.0, "answer finetuning": 0.0}, FT))
    costs.note(told({"learn linearized": 5.0, "answer zero_shot": 0.25}, Linearized()))
    assert costs.of(LC) == pytest.approx(4.0)
    assert costs.of(Reordered(FT, 1)) == pytest.approx(4.0)
    assert costs.of(Reordered(IN_CONTEXT, 1)) == pytest.approx(0.25)
