"""What is sent to an engine: what was asked for first, then what may be asked next, and nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icl_claims.engines.dispatch import MOST_LOSSES, Dispatch
from icl_claims.engines.engine import Done, Failed, Lost, Order, Refused
from icl_claims.engines.kept import InStore
from icl_claims.errors import EngineError
from icl_claims.experiments.result import TrialResult, packed_result
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import Finetuning
from tests.fast.stored_trials import assert_same_result, made_up_result

SPECS = [TrialSpec("model", "data", task, 3, seed, 0, None, ()) for task in ("sst2", "cb") for seed in range(6)]


SPEC_OF = {}


class Engine:
    """Does what was sent in its order, one order at a time; what it replies instead of a result is given by seed."""

    def __init__(self, slots=2, instead=None):
        self.slots, self.instead, self.sent, self.queue, self.refused = slots, instead or {}, [], [], []

    def submit(self, order, *, urgent):
        self.sent.append((SPEC_OF[order.name].task, SPEC_OF[order.name].seed, urgent))
        self.queue.append(order)

    def wait(self, _seconds):
        if not self.queue:
            return []
        order = self.queue.pop(0)
        spec = SPEC_OF[order.name]
        if said := self.instead.get(spec.seed, []):
            return [said.pop(0)(order.name)]
        return [Done(order.name, packed_result(spec, result_of(spec)), 1.0, "one")]

    def refuse(self, worker):
        self.refused.append(worker)
        self.slots -= 1

    def cancel(self):
        self.queue.clear()


class Asking:
    """Makes orders, and counts what was run."""

    def __init__(self):
        self.counted = []

    def order(self, spec):
        name = f"{len(SPEC_OF)}"
        SPEC_OF[name] = spec
        return Order(name, spec.key(), {}, "mkl", (), b"")

    def ran(self, spec, seconds):
        self.counted.append((spec.task, spec.seed, seconds))


def result_of(spec):
    where = {"device": "cpu", "threads": 1, "torch": "2", "finished": "", "notes": []}
    return replace(made_up_result(spec.seed, task=spec.task), spec=spec, provenance=where)


@pytest.fixture
def dispatch(tmp_path):
    def make(engine, over=lambda: False, said=None):
        say = (lambda _text: None) if said is None else said.append
        return Dispatch(engine, InStore(TrialStore(tmp_path)), over, say)

    return make


def test_all_that_is_asked_is_run_once_and_kept(dispatch, tmp_path):
    engine, asking = Engine(), Asking()
    given = dict(dispatch(engine)(SPECS, (), asking))
    assert set(given) == set(SPECS)
    assert all(isinstance(found, TrialResult) for found in given.values())
    assert sorted(engine.sent) == sorted((spec.task, spec.seed, True) for spec in SPECS)
    assert len(asking.counted) == len(SPECS)
    assert all(TrialStore(tmp_path).holds(spec) for spec in SPECS)
    engine = Engine()
    again = dict(dispatch(engine)(SPECS, (), asking))
    assert engine.sent == []
    for spec in SPECS:
        assert_same_result(replace(again[spec], provenance={}), replace(given[spec], provenance={}))


def test_further_trials_are_sent_where_workers_would_wait_and_kept(dispatch, tmp_path):
    engine = Engine(slots=4)
    sends, asked, further = dispatch(engine), SPECS[:3], SPECS[3:]
    assert [spec for spec, _ in sends(asked, further, Asking())] == asked
    assert [urgent for *_, urgent in engine.sent[:3]] == [True] * 3, "what was asked goes first"
    ahead = [(task, seed) for task, seed, urgent in engine.sent if not urgent]
    assert ahead
    assert ahead == [(spec.task, spec.seed) for spec in further[: len(ahead)]], "the nearest first"
    assert sends.under_way <= 5
    sent = len(engine.sent)
    assert {spec for spec, _ in sends(further, (), Asking())} == set(further)
    assert len(engine.sent) - sent == len(further) - len(ahead), "none of them is run again"
    assert all(TrialStore(tmp_path).holds(spec) for spec in SPECS)


def test_what_is_asked_waits_for_a_part_of_it_that_was_sent_ahead(dispatch):
    engine = Engine(slots=4)
    more = replace(SPECS[1], methods=(Finetuning(0.1),))
    sends = dispatch(engine)
    assert [spec for spec, _ in sends(SPECS[:1], [SPECS[1]], Asking())] == SPECS[:1]
    assert [spec for spec, _ in sends([more], (), Asking())] == [more]
    assert engine.sent[1:] == [("sst2", 1, False), ("sst2", 1, True)]
    assert [len(SPEC_OF[name].methods) for name in list(SPEC_OF)[-2:]] == [0, 1]


def test_a_trial_whose_worker_was_lost_is_sent_again_but_not_for_ever(dispatch):
    lost, said = [lambda name: Lost(name, "pre-empted")], []
    engine = Engine(instead={1: lost * 2, 2: lost * (MOST_LOSSES + 3)})
    given = dict(dispatch(engine, said=said)(SPECS[:3], (), Asking()))
    assert isinstance(given[SPECS[1]], TrialResult)
    assert isinstance(given[SPECS[2]], EngineError)
    assert "pre-empted" in str(given[SPECS[2]])
    assert [seed for _, seed, _ in engine.sent].count(1) == 3
    assert [seed for _, seed, _ in engine.sent].count(2) == MOST_LOSSES
    assert any("pre-empted" in text for text in said)


def test_a_worker_that_refuses_gets_nothing_more_and_says_why(dispatch):
    no, said = [lambda name: Refused(name, "other", "torch: expected 2.13.0, got 2.12.0")], []
    engine = Engine(slots=2, instead={1: list(no)})
    given = dict(dispatch(engine, said=said)(SPECS[:3], (), Asking()))
    assert all(isinstance(found, TrialResult) for found in given.values())
    assert engine.refused == ["other"]
    assert said == ["The worker other is refused: torch: expected 2.13.0, got 2.12.0."]
    engine = Engine(slots=1, instead={7: list(no)})
    alone = replace(SPECS[0], seed=7)
    ((_, error),) = dispatch(engine)([alone], (), Asking())
    assert isinstance(error, EngineError)
    assert "other refuses, torch: expected 2.13.0, got 2.12.0" in str(error)


def test_what_a_trial_raises_is_given_and_not_tried_ahead_again(dispatch):
    broken = ValueError("no")
    engine = Engine(instead={1: [lambda name: Failed(name, broken)]})
    sends = dispatch(engine)
    given = dict(sends(SPECS[:3], (), Asking()))
    assert given[SPECS[1]] is broken
    engine.sent.clear()
    list(sends(SPECS[6:8], [SPECS[1]], Asking()))
    assert ("sst2", 1, False) not in engine.sent


def test_when_time_is_over_what_is_under_way_is_given_and_nothing_begun(dispatch):
    engine, taken = Engine(slots=2), []
    for spec, found in dispatch(engine, over=lambda: bool(taken))(SPECS, SPECS, Asking()):
        assert isinstance(found, TrialResult)
        taken.append(spec)
    assert len(taken) == len(engine.sent) == 3, "two run, and one waits at a worker"


def test_what_was_stopped_is_forgotten(dispatch):
    engine = Engine(slots=2)
    sends = dispatch(engine)
    next(sends(SPECS, (), Asking()))
    sends.stop()
    assert sends.under_way == 0
    assert len(dict(sends(SPECS, (), Asking()))) == len(SPECS)
