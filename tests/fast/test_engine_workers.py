"""A worker runs what it is sent as this process would, keeps its model, and refuses what it is not fit for, by name."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from icl_claims.engines import worker
from icl_claims.engines.choices import SlurmOptions, engine_choice, slurm_options
from icl_claims.engines.devices import first_free, own_device
from icl_claims.engines.engine import Done, Failed, Refused
from icl_claims.engines.ordering import order_of, setting_of, witnessed
from icl_claims.engines.worker import run_order
from icl_claims.errors import DataError, EngineError, UsageError
from icl_claims.experiments import plan, profiles
from icl_claims.experiments.result import unpacked_result
from icl_claims.experiments.trial import run_trial
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import Finetuning
from tests.fast.stored_trials import SPREAD, assert_same_arrays

CHOICES = profiles.Choices(profiles.PROFILES["tiny"], tasks=("sst2",), k=4, queries=8)


@pytest.fixture(scope="module")
def run():
    return plan.resolve(CHOICES)


@pytest.fixture(scope="module")
def spec(run):
    return replace(plan.plan_trials(run)[0], methods=(Finetuning(0.5),), metrics=(SPREAD,))


@pytest.fixture
def setting(run, tmp_path):
    store = tmp_path / "trials"
    with witnessed(store) as witness:
        yield setting_of(run.choices, run.tasks, store, witness)
    assert not witness.exists()


def test_a_worker_gives_the_numbers_of_this_process_to_the_last_bit(run, spec, setting, monkeypatch, tmp_path):
    worker._LOADED.clear()
    reply = run_order(pickle.loads(pickle.dumps(order_of(spec, setting))))
    assert isinstance(reply, Done), reply
    model, theirs = CHOICES.load_model(), unpacked_result(spec, reply.content)
    mine = TrialStore(tmp_path / "mine").get_or_run(spec, lambda one: run_trial(one, model, run.data["sst2"]))
    for group in ("log_probabilities", "by_layer", "over_queries", "gradient_norms", "drift"):
        assert_same_arrays(getattr(theirs, group), getattr(mine, group))
    assert np.array_equal(mine.query_rows, theirs.query_rows)
    assert reply.seconds > 0
    assert TrialStore(setting.store).holds(spec), "the store is shared"
    monkeypatch.setattr(profiles.Choices, "load_model", lambda *_: pytest.fail("the model was loaded again"))
    assert run_order(order_of(spec, setting)).seconds == 0, "it was read"


def test_where_the_store_is_not_shared_the_result_alone_comes_back(spec, setting):
    setting.witness.unlink()
    assert isinstance(run_order(order_of(spec, setting)), Done)
    assert not setting.store.exists()
    setting.witness.touch()


@pytest.mark.parametrize("name", ["torch", "transformers", "numpy", "icl_claims", "python", "code of icl_claims"])
def test_a_worker_of_another_version_refuses_before_it_reads_anything(spec, setting, name):
    order = order_of(spec, setting)
    other = replace(order, versions={**order.versions, name: "9.9"}, payload=b"not a pickle")
    reply = run_order(other)
    assert isinstance(reply, Refused)
    assert reply.why == f"{name}: expected 9.9, got {worker._short(order.versions[name])}"


@pytest.mark.parametrize(("field", "told"), [("model", "weights of the model"), ("data", "data")])
def test_a_worker_with_other_weights_or_data_refuses(spec, setting, field, told):
    reply = run_order(order_of(replace(spec, **{field: "0" * 64}), setting))
    assert isinstance(reply, Refused)
    assert reply.why.startswith(f"{told}: expected 000000000000, got ")


def test_a_worker_with_other_kernels_or_other_code_of_the_reader_refuses(spec, setting):
    reply = run_order(order_of(replace(spec, kernels="attention math"), setting))
    assert isinstance(reply, Refused)
    assert reply.why.startswith("kernels: expected attention math, got")
    reply = run_order(replace(order_of(spec, setting), key="1" * 64))
    assert isinstance(reply, Refused)
    assert reply.why.startswith("code of your own methods and metrics")


def test_what_a_trial_raises_comes_back_with_its_place(spec, setting):
    missing = (("no_such_module.inner", "/nowhere/no_such_module/inner.py"),)
    reply = run_order(replace(order_of(spec, setting), own=missing))
    assert isinstance(reply, Failed)
    assert isinstance(reply.error, EngineError)
    assert "no_such_module" in str(reply.error)
    assert "_import" in reply.error.__notes__[0]


def test_the_modules_of_a_readers_own_metric_are_named(spec, setting):
    assert [name for name, _ in order_of(spec, setting).own if name.endswith("stored_trials")]
    assert order_of(replace(spec, metrics=()), setting).own == ()


def test_an_error_of_ours_is_the_same_in_another_process():
    error = DataError("Bad ⟨k⟩", expected="one", got="two", todo="Name one.")
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is DataError
    assert str(other) == str(error) == "Bad k: expected one, got two. Name one."
    assert other.as_told(str.upper) == error.as_told(str.upper)


def test_each_process_takes_a_device_of_its_own(tmp_path):
    names = ("one", "two")
    assert [first_free(names, tmp_path) for _ in names] == [0, 1], "a lock of one holder each"
    assert first_free(names, tmp_path) in (0, 1), "then they are shared"
    assert own_device("cpu") == "cpu"
    assert own_device("spread") == "spread"


def test_paths_hold_in_any_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choices = replace(CHOICES, model="path:here", tasks=("sst2", "./mine"))
    found = setting_of(choices, run.tasks, tmp_path, tmp_path).choices
    assert found.model == f"path:{tmp_path / 'here'}"
    assert found.tasks == ("sst2", str(tmp_path / "mine"))
    assert setting_of(replace(CHOICES, model="hub:a/b"), run.tasks, tmp_path, tmp_path).choices.model == "hub:a/b"


@pytest.mark.parametrize(
    ("text", "workers", "found"),
    [
        ("local", None, ("local", None)),
        ("dask", 2, ("dask", None)),
        ("dask:tcp://host:8786", None, ("dask", "tcp://host:8786")),
        ("slurm", None, ("slurm", None)),
    ],
)
def test_an_engine_is_chosen_by_its_name(text, workers, found):
    choice = engine_choice(text, workers)
    assert (choice.kind, choice.address, choice.workers) == (*found, workers)


@pytest.mark.parametrize(
    ("text", "workers"), [("ray", None), ("dask:8786", None), ("slurm:x", None), ("local", 2), ("dask", 0)]
)
def test_what_is_no_engine_is_refused(text, workers):
    with pytest.raises(UsageError, match="engine"):
        engine_choice(text, workers)


def test_an_engine_that_is_not_installed_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("icl_claims.engines.choices.find_spec", lambda _name: None)
    for kind in ("dask", "slurm"):
        with pytest.raises(EngineError, match=rf"pip install 'icl-claims\[{kind}\]'"):
            engine_choice(kind).check_installed()


def test_options_of_jobs_come_from_a_file_and_what_is_named_goes_before(tmp_path):
    file = tmp_path / "slurm.toml"
    file.write_text('partition = "gpu"\ntime = "4h"\ngpus = 1\nmemory = 32\n')
    found = slurm_options({"time": "90m", "gpus": None}, file)
    assert found == SlurmOptions(partition="gpu", time="90m", gpus=1, memory=32)
    assert found.parameters() == {
        "timeout_min": 90,
        "gpus_per_node": 1,
        "mem_gb": 32,
        "cpus_per_task": 4,
        "slurm_partition": "gpu",
        "slurm_array_parallelism": 16,
    }


@pytest.mark.parametrize(
    "text", ["time = 'soon'", "gpus = 'two'", "array = 0", "nodes = 3", "executor = 'pbs'", "cpus = true", "= 1"]
)
def test_options_of_jobs_that_make_no_sense_are_refused(tmp_path, text):
    file = tmp_path / "slurm.toml"
    file.write_text(text)
    with pytest.raises(UsageError):
        slurm_options({}, file)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--claims-engine=ray",), "--claims-engine names no engine*dask:tcp://host:port*'ray'"),
        (("--claims-engine=dask", "-n2"), "*expected one process of pytest, got -n 2*--claims-engine-workers*"),
        (("--claims-engine=slurm", "--claims-slurm-time=soon"), "--claims-slurm-time is no walltime*'soon'*"),
    ],
)
def test_options_of_a_run_that_make_no_sense_are_refused_before_it_begins(pytester, options, told):
    result = pytester.runpytest_inprocess(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{told}*"])
