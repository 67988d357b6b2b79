"""Engines give what one process gives; a killed worker costs its trial alone, a wrong one is refused by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

pytest.importorskip("distributed")
pytest.importorskip("submitit")

from distributed import Client, LocalCluster

from icl_claims.engines.choices import SlurmOptions
from icl_claims.engines.dask_cluster import DaskEngine
from icl_claims.engines.dispatch import Dispatch
from icl_claims.engines.engine import Done, Lost
from icl_claims.engines.kept import InStore
from icl_claims.engines.ordering import order_of, setting_of, witnessed
from icl_claims.engines.slurm_jobs import SlurmEngine
from icl_claims.experiments.plan import plan_trials, resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.trial_store import TrialStore
from tests.slow.test_claims_on_workers import FILES, ROOT, run, without_time

pytestmark = pytest.mark.filterwarnings("default")  # of the libraries behind the engines
CHOICES = Choices(PROFILES["tiny"], tasks=("sst2",), k=16, queries=128, replicates=4)
DASK = ["--claims-engine=dask", "--claims-engine-workers=2"]
SLURM = ["--claims-engine=slurm", "--claims-slurm-executor=local", "--claims-slurm-array=1", "--claims-slurm-trials=8"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tmp_path_factory.mktemp("alone"), FILES[:1])


@pytest.mark.parametrize("engine", [DASK, SLURM], ids=["dask", "slurm"])
def test_an_engine_decides_what_one_process_decides(alone, tmp_path, engine):
    claims, trials = run(tmp_path, FILES[:1], *engine)
    assert list(map(without_time, claims)) == list(map(without_time, alone[0]))
    assert set(trials) >= set(alone[1]), "those that were sent ahead are kept too"
    assert not list(tmp_path.glob("*.shared"))


class Asking:
    """Orders for trials of a store."""

    def __init__(self, setting):
        self.setting = setting

    def order(self, spec):
        return order_of(spec, self.setting)

    def ran(self, _spec, _seconds):
        pass


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """Trials of a few seconds, the store that they go to, and who asks for them."""
    monkeypatch.setenv("ICL_CLAIMS_PRODUCTS", "mkl")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    plan = resolve(CHOICES)
    with witnessed(tmp_path / "trials") as witness:
        setting = setting_of(plan.choices, plan.tasks, tmp_path / "trials", witness)
        yield plan_trials(plan), TrialStore(tmp_path / "trials"), Asking(setting)


def wait_for(found, seconds=300):
    end = time.monotonic() + seconds
    while not (there := found()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return there


def test_a_dask_worker_that_is_killed_in_a_trial_costs_no_other(asking, tmp_path):
    specs, store, who = asking
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        engine = DaskEngine(cluster.scheduler_address)
        try:
            with Client(cluster, set_as_default=False) as client:
                first = who.order(specs[0])
                engine.submit(first, urgent=True)
                wait_for(lambda: list((tmp_path / "trials").glob("*.partial/*")))
                (address,) = [worker for worker, keys in client.processing().items() if keys]
                (number,) = client.run(os.getpid, workers=[address]).values()
                os.kill(number, signal.SIGKILL)
                (reply,) = wait_for(lambda: engine.wait(1.0))
                assert isinstance(reply, Done), "dask sent it to another worker"
                assert reply.name == first.name
                assert f"process {number}" not in reply.worker
            found = dict(Dispatch(engine, InStore(store), lambda: False)(specs, (), who))
            assert set(found) == set(specs)
            assert all(store.holds(spec) for spec in specs)
        finally:
            engine.close()


def test_a_dask_worker_with_other_weights_is_refused_by_name(asking):
    specs, store, who = asking
    said = []
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        command += ["--nthreads=1", "--dashboard-address=:0", "--preload", str(ROOT / "tests/slow/wrong_worker.py")]
        wrong = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True)
        engine = DaskEngine(cluster.scheduler_address)
        try:
            engine._client.wait_for_workers(1, timeout=120)
            sends = Dispatch(engine, InStore(store), lambda: False, said.append)
            ((_, error),) = sends(specs[:1], (), who)
            assert "No worker is fit" in str(error)
            assert f"weights of the model: expected {specs[0].model[:12]}, got " in str(error)
            cluster.scale(1)
            wait_for(lambda: engine.slots == 1)
            found = dict(sends(specs[1:2], (), who))
            assert store.holds(specs[1])
            assert list(found) == specs[1:2]
        finally:
            engine.close()
            os.killpg(wrong.pid, signal.SIGKILL)
            wrong.wait()


def test_a_job_that_is_killed_in_a_trial_costs_no_other(asking, tmp_path):
    specs, store, who = asking
    said = []
    engine = SlurmEngine(SlurmOptions(executor="local", array=1, trials=2), tmp_path / "jobs")
    sends = Dispatch(engine, InStore(store), lambda: False, said.append)
    given = sends(specs[:3], (), who)
    killed, wait = [], engine.wait

    def wait_and_kill(seconds):
        replies = wait(seconds)
        if not killed and list((tmp_path / "trials").glob("*.partial/*")):
            (job, _), *_ = engine._jobs
            for process in psutil.Process(job._process.pid).children(recursive=True):
                process.kill()
            killed.append(job)
        return replies

    engine.wait = wait_and_kill
    found = dict(given)
    engine.close()
    assert killed
    assert set(found) == set(specs[:3])
    assert all(store.holds(spec) for spec in specs[:3])
    assert any("A worker was lost" in text for text in said)


def test_jobs_are_filled_alike_and_run_in_this_process_for_debugging(asking, tmp_path):
    specs, store, who = asking
    small = [replace(spec, queries=8, methods=(), diagnostics=False) for spec in specs]
    engine = SlurmEngine(SlurmOptions(executor="debug", array=2, trials=3), tmp_path / "jobs")
    for spec in small:
        engine.submit(who.order(spec), urgent=True)
    replies = engine.wait(60)
    assert len(replies) == len(small)
    assert not any(isinstance(reply, Lost) for reply in replies)
    assert all(store.holds(spec) for spec in small)
