"""Several workers share threads, devices, and trials, and few of them load a model."""

from __future__ import annotations

import os
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.pytest_plugin.fixtures import REFUTATIONS
from icl_claims.pytest_plugin.workers import (
    ClaimScheduling,
    Worker,
    processors,
    pytest_xdist_make_scheduler,
    share_threads,
)

ALONE = Worker()


@given(st.integers(0, 9), st.integers(1, 4), st.lists(st.integers()))
def test_every_worker_does_all_the_work_in_an_order_of_its_own(number, count, work):
    assert Counter(Worker(number, count).in_its_order(work)) == Counter(work)


def test_workers_begin_at_different_places():
    assert [Worker(number, 3).in_its_order("abcdef")[0] for number in range(4)] == ["a", "c", "e", "a"]


@pytest.mark.parametrize(
    ("worker", "chosen", "devices", "device"),
    [
        (ALONE, None, 2, None),
        (Worker(1, 2), None, 0, None),
        (Worker(1, 2), None, 2, "cuda:1"),
        (Worker(2, 3), "cuda", 2, "cuda:0"),
        (Worker(5, 2), "auto", 4, "cuda:1"),
        (Worker(1, 2), "cpu", 2, "cpu"),
        (Worker(1, 2), "cuda:0", 2, "cuda:0"),
        (Worker(1, 2), "spread", 2, "spread"),
    ],
)
def test_each_worker_takes_its_own_device_unless_one_is_chosen(worker, chosen, devices, device):
    assert worker.device(chosen, devices) == device


@pytest.mark.parametrize("given_before", [None, "7"])
def test_workers_share_the_threads_unless_told_how_many(pytester, monkeypatch, given_before):
    monkeypatch.setenv("OMP_NUM_THREADS", given_before or "")
    if given_before is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    config = pytester.parseconfig()
    share_threads(config)
    assert os.environ.get("OMP_NUM_THREADS") == given_before
    config.workerinput = {"workerid": "gw1", "workercount": 2}
    share_threads(config)
    assert os.environ["OMP_NUM_THREADS"] == given_before or str(max(1, processors() // 2))


# Scheduling

TESTS = [f"claims/test_a.py::test_{number}[{source}]" for number in range(6) for source in ("exact", "trials")]


@pytest.fixture
def config(pytester):
    def make(*arguments, workers=3):
        made = pytester.parseconfig(f"-n{workers}", *arguments)
        made.option.dist, made.option.tx = "load", ["popen"] * workers
        return made

    return make


def groups_of(scheduling, tests=TESTS):
    groups = {}
    for test in tests:
        groups.setdefault(scheduling._split_scope(test), []).append(test)
    return list(groups.values())


@pytest.mark.parametrize(("groups", "sizes"), [(1, [6]), (2, [3, 3]), (3, [2, 2, 2]), (9, [2, 2, 2])])
def test_claims_on_trials_go_in_few_groups_and_others_alone(config, groups, sizes):
    found = groups_of(ClaimScheduling(config(), groups))
    assert sorted(map(len, found)) == [1] * 6 + sizes
    assert all(len({"[trials]" in test for test in group}) == 1 for group in found)


def test_trials_of_two_profiles_are_two_groups(config):
    tests = ["a.py::test[trials]", "a.py::test[trials-paper]", "b.py::test[trials-paper]", "b.py::test_other[trials]"]
    assert groups_of(ClaimScheduling(config(), 1), tests) == [[tests[0], tests[3]], [tests[1], tests[2]]]


def test_trials_of_a_second_profile_are_groups_of_their_own(config):
    tests = ["a.py::test[trials]", "a.py::test[trials-embedded]", "b.py::test[x-trials-embedded]"]
    assert groups_of(ClaimScheduling(config(), 1), tests) == [[tests[0]], tests[1:]]


def test_a_test_stays_in_its_group(config):
    scheduling = ClaimScheduling(config(), 2)
    assert [scheduling._split_scope(test) for test in TESTS] == [scheduling._split_scope(test) for test in TESTS]


def test_only_runs_of_claims_are_scheduled_so(config, pytester):
    pytester.mkdir("claims").joinpath(REFUTATIONS).write_text("")
    pytester.mkdir("tests")
    assert isinstance(pytest_xdist_make_scheduler(config("claims"), None), ClaimScheduling)
    assert pytest_xdist_make_scheduler(config("claims/test_a.py::test_one"), None) is not None
    assert pytest_xdist_make_scheduler(config("tests"), None) is None
    chosen = config("claims")
    chosen.option.dist = "loadfile"
    assert pytest_xdist_make_scheduler(chosen, None) is None


class Node:
    """A worker as its controller sees it."""

    shutting_down = False
    gateway = SimpleNamespace(id="gw")

    def __init__(self):
        self.sent = []

    def send_runtest_some(self, tests):
        self.sent += tests

    def shutdown(self):
        self.shutting_down = True


def test_a_test_that_crashed_a_worker_is_not_given_to_another(config):
    tests = ["a.py::test_0[exact]", *(f"b.py::test_{number}[trials]" for number in range(4))]
    scheduling, nodes = ClaimScheduling(config(workers=2), 1), [Node(), Node(), Node()]

    def add(node):
        scheduling.add_node(node)
        scheduling.registered_collections[node] = tests

    add(nodes[0])
    add(nodes[1])
    scheduling.schedule()
    crashing = next(node for node in nodes if 1 in node.sent)
    scheduling.mark_test_complete(crashing, 1)
    assert scheduling.remove_node(crashing) == tests[2]
    add(nodes[2])
    scheduling.schedule()
    assert nodes[2].sent == [3, 4]
