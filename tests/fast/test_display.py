"""What a person sees while trials run: a table in a terminal, lines elsewhere, from one process or several."""

from __future__ import annotations

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from icl_claims.pytest_plugin import display as display_module
from icl_claims.pytest_plugin.display import Display
from icl_claims.pytest_plugin.events import Look, Said, TrialRun, TrialsUnderWay, event_line, event_of, tell_nobody
from icl_claims.pytest_plugin.watching import EVENTS, WATCH, Watch, teller_of

EFFECT = {"estimate": 0.12, "low": 0.05, "high": 0.19, "kind": "confidence sequence over draws"}
LOOK = Look("tiny", "icl-beats-zsl", 8, "supported", "5 ✓ 1 ?", EFFECT, over=True)
OPEN = Look("tiny", "icl-beats-ft", 8, "inconclusive", "6 ?", None, over=False)
TEXT = st.text(max_size=20)
EVENTS_OF_ALL_KINDS = st.one_of(
    st.builds(TrialsUnderWay, TEXT, TEXT, st.floats(0, 100), st.integers(0, 100), TEXT),
    st.builds(TrialRun, TEXT, TEXT, st.floats(0, 1000)),
    st.builds(Look, TEXT, TEXT, st.integers(0, 99), TEXT, TEXT, st.none() | st.just(EFFECT), st.booleans()),
    st.builds(Said, TEXT, TEXT),
)


def shown(*events, terminal=False, **how):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, height=30, color_system=None)
    display = Display(console, **how)
    for event in events:
        display.take(event)
    display.clear()
    return console.file.getvalue()


@given(EVENTS_OF_ALL_KINDS)
def test_an_event_is_one_line_and_read_back(event):
    line = event_line(event)
    assert line.count("\n") == 1
    assert event_of(line) == event


def test_without_a_terminal_a_verdict_is_a_line_whoever_tells_it_again():
    said = Said("tiny", "tiny, 8 draws: all is decided.")
    text = shown(OPEN, LOOK, LOOK, said, said)
    assert text.splitlines() == [
        "tiny, icl-beats-zsl: supported after 8 draws, .120 [.0500, .190]",
        "tiny, 8 draws: all is decided.",
    ]


def test_a_claim_that_goes_on_is_told_when_it_is_over():
    text = shown(OPEN, Look("tiny", "icl-beats-ft", 12, "refuted", "6 ✗", None, over=True))
    assert text == "tiny, icl-beats-ft: refuted after 12 draws\n"


def test_long_work_is_told_of_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(display_module.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=100)
    display = Display(console)
    for done in range(10):
        now[0] = 10.0 * done
        display.take(TrialsUnderWay("tiny", "8 draws", done, 20, "trial 3, SST2: done"))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "tiny, 8 draws: 3 of 20 trials, 30 s elapsed, about 3 min left (trial 3, SST2: done)"
    assert len(lines) == 3


def test_the_end_of_trials_is_told_once():
    last = TrialsUnderWay("tiny", "8 draws", 2, 2, "trial 2, CB: done")
    text = shown(TrialsUnderWay("tiny", "8 draws", 1, 2, "trial 1, CB: done"), last, last)
    assert text == "tiny, 8 draws: all 2 trials in 1 s\n"


@pytest.mark.parametrize(("took", "told"), [(3.0, ""), (30.0, "tiny, 8 draws: all 2 trials in 30 s\n")])
def test_the_end_of_one_of_many_steps_is_told_only_if_it_took_long(monkeypatch, took, told):
    now = [0.0]
    monkeypatch.setattr(display_module.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=100)
    display = Display(console)
    for now[0], done in ((0.0, 1), (took, 2), (took + 1, 2)):
        display.take(TrialsUnderWay("tiny", "8 draws", done, 2, "trial 2, CB: done", one_of_many=True))
    assert console.file.getvalue() == told


def test_a_process_that_is_behind_does_not_turn_the_count_back():
    text = shown(
        TrialsUnderWay("tiny", "8 draws", 5, 20, "trial 6, CB: done"),
        TrialsUnderWay("tiny", "8 draws", 2, 20, "trial 2, CB: done"),
        terminal=True,
    )
    assert "5 of 20 trials" in text
    assert "2 of 20 trials" not in text


def test_a_terminal_has_a_table_that_goes_when_others_print():
    text = shown(TrialsUnderWay("tiny", "8 draws", 1.5, 20, "trial 2, CB: answering"), terminal=True)
    assert "1 of 20 trials" in text
    table = shown(LOOK, terminal=True)
    for word in ("claim", "draws", "5 ✓ 1 ?", "so far", "icl-beats-zsl", "supported", ".120 [.0500, .190]"):
        assert word in table
    assert table.rstrip("\n").endswith("\x1b[2K") or "\x1b[1A" in table  # what was drawn is wiped


def test_others_lines_are_ended_first():
    ended = []
    shown(LOOK, new_line=lambda: ended.append(1))
    assert ended


def test_workers_write_what_the_controller_reads(pytester):
    watch = Watch(pytester.parseconfig("-qq"))
    node = type("Node", (), {"workerinput": {}})()
    watch.pytest_configure_node(node)
    config = type("Config", (), {"workerinput": node.workerinput})()
    telling = [threading.Thread(target=_tell_often, args=(teller_of(config), task)) for task in ("sst2", "cb")]
    for thread in telling:
        thread.start()
    for thread in telling:
        thread.join()
    watch.pytest_sessionfinish()
    assert {key: len(found) for key, found in watch.seconds.items()} == {("tiny", "sst2"): 200, ("tiny", "cb"): 200}
    watch.pytest_unconfigure()
    assert EVENTS in node.workerinput


def _tell_often(tell, task):
    for number in range(200):
        tell(TrialRun("tiny", task, float(number)))


def test_steps_of_a_trial_are_written_no_more_often_than_they_are_read(tmp_path):
    path = tmp_path / "events"
    path.touch()
    tell = teller_of(type("Config", (), {"workerinput": {EVENTS: str(path)}})())
    for number in range(1000):
        tell(TrialsUnderWay("tiny", "8 draws", number / 1000, 20, "learning"))
    tell(LOOK)
    lines = path.read_text().splitlines()
    assert len(lines) < 100
    assert event_of(lines[-1]) == LOOK


@pytest.mark.parametrize("verbosity", ["-q", "-v", "-pno:terminal"])
def test_a_quiet_run_counts_and_shows_nothing(pytester, verbosity, capsys):
    watch = pytester.parseconfigure(verbosity).pluginmanager.getplugin(WATCH)
    watch.take(LOOK)
    watch.take(TrialRun("tiny", "cb", 2.0))
    assert watch.seconds["tiny", "cb"] == [2.0]
    assert ("icl-beats-zsl" in capsys.readouterr().out) == (verbosity == "-v")


def test_a_worker_without_a_file_tells_nobody():
    assert teller_of(type("Config", (), {"workerinput": {}})()) is tell_nobody
