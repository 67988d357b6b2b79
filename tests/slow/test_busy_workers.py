"""The rounds of a run keep 64 workers busy, some of which are slow or lost: simulated, by the code that does it."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.busy_workers import Conditions, simulate

TEN_MINUTES = Conditions(budget=600.0)


def test_sixty_four_workers_are_busy_for_nine_tenths_of_the_time():
    busy = simulate(TEN_MINUTES)
    assert TEN_MINUTES.workers == 64
    assert TEN_MINUTES.stragglers >= 0.05
    assert TEN_MINUTES.lost_every <= 3600
    assert busy.busy >= 0.9
    assert busy.lost > 0, "some were lost"


def test_they_would_wait_if_nothing_were_sent_ahead():
    assert simulate(replace(TEN_MINUTES, looks_ahead=False, budget=300.0)).busy < 0.5
