"""Trials are run or read, shared among workers, and begun no more when the budget is over."""

from __future__ import annotations

import shutil
import time

import pytest

from icl_claims.errors import UsageError
from icl_claims.experiments.plan import resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.pytest_plugin import trials_of_run as trials_module
from icl_claims.pytest_plugin.budget import Budget, budget_of, seconds_of
from icl_claims.pytest_plugin.events import Said, TrialRun, TrialsUnderWay, tell_nobody
from icl_claims.pytest_plugin.trials_of_run import Execution, TrialsOfRun
from icl_claims.pytest_plugin.verdict_cache import VerdictCache
from icl_claims.pytest_plugin.workers import Worker
from tests.fast.stored_trials import made_up_result

SPECS = [TrialSpec("model", "data", task, 3, seed, 0, None, ()) for task in ("sst2", "cb") for seed in (1, 2)]
IN_ORDER = [(spec.task, spec.seed) for spec in SPECS]


class Breaks(Exception):
    pass


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs made-up trials; gives what was run by task and seed, and what each gave."""
    ran = []

    def run_with(worker=None, load=lambda: "model", budget=None, breaks=None, told=None):
        def run_trial(spec, model, _data, progress, **_how):
            assert model == "model"
            progress("answering", 0.5)
            ran.append((spec.task, spec.seed))
            if (spec.task, spec.seed) in (breaks or {}):
                raise breaks[spec.task, spec.seed]
            return made_up_result(spec.seed, task=spec.task)

        monkeypatch.setattr(trials_module.trial, "run_trial", run_trial)
        ran.clear()
        plan, store = resolve(Choices(PROFILES["tiny"])), TrialStore(tmp_path)
        tell = tell_nobody if told is None else told.append
        execute = Execution(plan, load, worker or Worker(), store, budget or Budget(), tell)
        return [((spec.task, spec.seed), found) for spec, found in execute("a round", SPECS)], ran

    return run_with


@pytest.mark.parametrize(("worker", "first"), [(Worker(), 0), (Worker(1, 2), 2)])
def test_every_trial_is_run_once_by_a_worker_in_its_order(run, worker, first):
    given, ran = run(worker)
    assert ran == [*IN_ORDER[first:], *IN_ORDER[:first]]
    assert [draw for draw, _ in given] == ran


def test_where_all_trials_are_stored_no_model_is_loaded(run):
    run()
    given, ran = run(load=lambda: pytest.fail("the model was loaded"))
    assert (ran, len(given)) == ([], 4)


def test_a_trial_that_another_worker_runs_is_waited_for_last(run, monkeypatch):
    ask = TrialStore.get_or_run_unless_busy
    monkeypatch.setattr(
        TrialStore,
        "get_or_run_unless_busy",
        lambda self, spec, do: None if spec == SPECS[0] else ask(self, spec, do),
    )
    assert run()[1] == [*IN_ORDER[1:], IN_ORDER[0]]


def test_what_a_trial_raises_is_given_and_the_others_go_on(run):
    error = Breaks()
    given, _ = run(breaks={IN_ORDER[1]: error})
    assert dict(given)[IN_ORDER[1]] is error
    assert [draw for draw, _ in given] == IN_ORDER


def test_when_the_budget_is_over_trials_are_read_and_none_is_run(run, tmp_path):
    assert run(budget=Budget(0.0))[0] == []
    TrialStore(tmp_path).get_or_run(SPECS[2], lambda spec: made_up_result(spec.seed, task=spec.task))
    given, ran = run(budget=Budget(0.0))
    assert ([draw for draw, _ in given], ran) == ([IN_ORDER[2]], [])


def test_an_interrupt_ends_the_budget_and_a_second_one_the_run(run):
    budget = Budget()
    given, ran = run(budget=budget, breaks={IN_ORDER[2]: KeyboardInterrupt()})
    assert ([draw for draw, _ in given], ran, budget.over) == (IN_ORDER[:2], IN_ORDER[:3], True)


def test_a_budget_that_ended_is_over_for_every_set_up_of_the_run(pytester, tmp_path):
    trials = TrialsOfRun(pytester.parseconfigure("--claims-budget=2h"), VerdictCache(tmp_path))
    first, second = (trials.rounds(profile).execute.budget for profile in ("", "tiny"))
    first.end()
    assert second.over


def test_what_is_run_is_told_and_counted_but_not_what_is_read(run):
    told = []
    run(told=told)
    assert [one.task for one in told if isinstance(one, TrialRun)] == [task for task, _ in IN_ORDER]
    under_way = [one for one in told if isinstance(one, TrialsUnderWay)]
    assert [one.done for one in under_way] == [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert under_way[2].now == "trial 2, SST2: answering"
    assert {(one.profile, one.what, one.total) for one in under_way} == {("tiny", "a round", 4)}
    told.clear()
    run(told=told)
    assert not any(isinstance(one, TrialRun) for one in told)


def test_an_interrupt_is_answered(run):
    told = []
    run(budget=Budget(), breaks={IN_ORDER[2]: KeyboardInterrupt()}, told=told)
    assert [one.text for one in told if isinstance(one, Said)] == [
        "Interrupted: what is undecided stays so; once more to stop at once."
    ]


def test_a_trial_under_way_stops_where_the_controller_was_interrupted_and_none_is_begun(run, tmp_path):
    budget = Budget(note=tmp_path / "note")
    given, _ = run(budget=budget)
    assert [draw for draw, _ in given] == IN_ORDER
    budget.note.touch()
    given, ran = run(budget=budget)
    assert ([draw for draw, _ in given], ran) == (IN_ORDER, []), "what is stored is read"
    seen, stop = [], Budget.check

    class Later(Budget):
        over = False

        def check(self):
            seen.append(1)
            if len(seen) == 3:
                Later.over = True
                stop(self)

    for entry in tmp_path.glob("*"):
        shutil.rmtree(entry, ignore_errors=True)
    given, ran = run(budget=Later(note=budget.note))
    assert ([draw for draw, _ in given], ran) == (IN_ORDER[:2], IN_ORDER[:2])


@pytest.mark.parametrize(
    ("options", "over", "given"),
    [
        ((), False, True),
        (("--claims-profile=tiny",), False, False),
        (("--claims-model=tiny",), False, False),
        (("--claims-replicates=4",), False, False),
        (("--claims-no-more",), True, True),
        (("--claims-budget=0s",), True, True),
        (("--claims-budget=2h",), False, True),
    ],
)
def test_a_budget_is_counted_from_the_start_of_the_run(pytester, options, over, given):
    budget = budget_of(pytester.parseconfig(*options))
    assert (budget.over, budget.set) == (over, given)


def test_a_budget_is_over_when_its_time_is():
    budget = Budget(time.time() + 1000)
    assert not budget.over
    budget.end()
    assert budget.over


@pytest.mark.parametrize("text", ["", "m", "five", "-1s", "nan", "3d"])
def test_what_is_no_time_is_refused(text, pytester):
    with pytest.raises(UsageError, match=r"no time.*such as 90s, 5m or 2h"):
        seconds_of(text)
    result = pytester.runpytest_inprocess(f"--claims-budget={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--claims-budget: *such as 90s, 5m or 2h*"])
