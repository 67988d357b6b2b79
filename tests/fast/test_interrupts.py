"""The first Ctrl-C ends a budget, the second a run; what has no claim on trials is stopped by the first."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from icl_claims.pytest_plugin.budget import NOTE, Budget, Interrupted, budget_of
from icl_claims.pytest_plugin.interrupts import Interrupts, first_interrupt, ignore


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def _interrupts_are_pythons_own():
    """A shell that runs pytest in the background has it ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def node():
    return SimpleNamespace(workerinput={})


@pytest.fixture
def controller(pytester, node):
    """Makes the controller of a worker, with claims on these sources."""
    made = []

    def make(*sources):
        config = pytester.parseconfig("-q")
        made.append(Interrupts(config, lambda: {source: {"source": source} for source in sources}))
        made[0].pytest_configure_node(node)
        return made[0]

    yield make
    made[0].pytest_unconfigure()


def loop(plugin, body):
    """Run a body as the loop of tests that a plugin wraps."""
    wrapped = plugin.pytest_runtestloop()
    next(wrapped)
    try:
        found = body()
    except BaseException as error:
        wrapped.throw(error)
    try:
        wrapped.send(found)
    except StopIteration as over:
        return over.value


def budget_of_worker(pytester, node, *options):
    config = pytester.parseconfig(*options)
    config.workerinput = {"workerid": "gw0", "workercount": 1, **node.workerinput}
    return budget_of(config)


def test_the_first_interrupt_calls_a_function_and_the_second_interrupts():
    called = []
    with first_interrupt(lambda: called.append(1)):
        interrupt()
        assert called == [1]
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert called == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_interrupts_goes_on_to_and_a_thread_leaves_them():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with first_interrupt(lambda: pytest.fail("it was called")):
            interrupt()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    entered = []

    def apart():
        with first_interrupt(ignore):
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=apart)
    thread.start()
    thread.join()
    assert entered == [before]


def test_an_interrupt_of_the_controller_ends_the_budget_of_a_worker(controller, node, pytester):
    plugin = controller("exact", "trials")
    budgets = [
        budget_of_worker(pytester, node, *options) for options in (("--claims-profile=tiny",), ("--claims-budget=2h",))
    ]
    for budget in budgets:
        assert not budget.over
        budget.check()
    assert loop(plugin, lambda: interrupt() or "went on") == "went on"
    for budget in budgets:
        assert budget.over
        with pytest.raises(Interrupted):
            budget.check()
    assert [budget.set for budget in budgets] == [False, True]


def test_a_second_interrupt_stops_the_controller(controller):
    with pytest.raises(KeyboardInterrupt):
        loop(controller("trials"), lambda: (interrupt(), interrupt()))


def test_without_claims_on_trials_the_first_interrupt_stops_all(controller, node, pytester):
    with pytest.raises(KeyboardInterrupt):
        loop(controller("exact", "printed"), interrupt)
    assert not budget_of_worker(pytester, node).over


@pytest.mark.parametrize(
    ("source", "worker", "stops"), [("trials", True, False), ("exact", True, True), ("trials", False, True)]
)
def test_a_worker_with_claims_on_trials_alone_leaves_the_first_interrupt_to_the_controller(
    pytester, node, source, worker, stops
):
    config = pytester.parseconfig()
    if worker:
        config.workerinput = {NOTE: "nowhere"}
    plugin = Interrupts(config, lambda: {"test": {"source": source}})
    if stops:
        with pytest.raises(KeyboardInterrupt):
            loop(plugin, interrupt)
    else:
        loop(plugin, interrupt)
        with pytest.raises(KeyboardInterrupt):
            loop(plugin, lambda: (interrupt(), interrupt()))


def test_where_no_worker_is_told_of_a_note_there_is_none(pytester):
    assert budget_of(pytester.parseconfig()).note is None
    assert budget_of(pytester.parseconfig("--claims-no-more")).over
    Budget(0.0).check()  # the end of a budget stops no trial under way
