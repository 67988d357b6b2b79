"""OpenMP's threads sleep while they wait, unless the reader said otherwise; a disturbed measurement is known."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from icl_claims.cli import doctor
from icl_claims.experiments import disturbance
from icl_claims.waiting import VARIABLES, Waiting, wait_passively


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is as before when the test is over
        monkeypatch.delenv(name)


def test_threads_sleep_where_the_reader_said_nothing(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    assert wait_passively() == Waiting("OMP_WAIT_POLICY=passive", ours=True, late=False)
    assert wait_passively().ours is False


@pytest.mark.parametrize("name", VARIABLES)
def test_what_the_reader_said_stays(monkeypatch, name):
    monkeypatch.setenv(name, "7")
    assert wait_passively() == Waiting(f"{name}=7", ours=False, late=False)


def test_after_torch_it_is_too_late_and_the_doctor_says_so(monkeypatch):
    monkeypatch.setattr(doctor, "WAITING", wait_passively())
    line = doctor._waiting()
    assert "imported before icl_claims" in line.found
    assert "Set OMP_WAIT_POLICY=passive before Python starts" in line.todo


@pytest.mark.parametrize(("ours", "whose"), [(True, "set by icl_claims"), (False, "as the environment says")])
def test_the_doctor_says_how_threads_wait(monkeypatch, ours, whose):
    monkeypatch.setattr(doctor, "WAITING", Waiting("OMP_WAIT_POLICY=passive", ours=ours, late=False))
    line = doctor._waiting()
    assert line.found == f"OMP_WAIT_POLICY=passive, {whose}"
    assert not line.todo


@pytest.mark.parametrize("door", ["icl_claims.pytest_plugin", "icl_claims.cli", "icl_claims"])
def test_every_door_says_it_before_torch_is_imported(door):
    program = f"import os, sys, {door}, icl_claims; print(icl_claims.WAITING.late, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def told(folder, *delays):
    for number, delay in enumerate(delays):
        (folder / str(number)).mkdir(parents=True, exist_ok=True)
        (folder / str(number) / "schedstat").write_text(f"1 {int(delay * 1e9)} 1\n", encoding="ascii")


def test_a_measurement_knows_how_long_its_threads_waited(monkeypatch, tmp_path):
    clock = iter((10.0, 14.0))
    monkeypatch.setattr(disturbance, "_THREADS", tmp_path)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    told(tmp_path, 1.0, 5.0)
    waited = disturbance.waited(threads=2)
    told(tmp_path, 3.0, 7.0)
    assert waited() == pytest.approx((2 + 2) / 4 / 2)


def test_a_system_that_does_not_tell_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(disturbance, "_THREADS", tmp_path / "nowhere")
    assert disturbance.waited(threads=2)() == 0
