"""Which kernel multiplies is measured once per machine, named by an environment variable, and part of a trial's key."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch

from icl_claims.cli import doctor
from icl_claims.errors import UsageError
from icl_claims.experiments import spec
from icl_claims.experiments.spec import TrialSpec
from icl_claims.models import products
from icl_claims.models.products import CHOICE, KERNELS, faster, measured, measured_once, plain
from icl_claims.models.reference import load_model
from icl_claims.tasks.sources import synthetic_task

pytestmark = pytest.mark.skipif(not products.has_onednn(), reason="this build of torch has no oneDNN to choose")
FAST, SLOW = {"mkl": 3e-4, "onednn": 1e-4}, {"mkl": 1e-4, "onednn": 1e-4}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Where a measurement is cached, which is empty; no kernel was chosen before, and none stays so."""
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    monkeypatch.delenv(CHOICE, raising=False)
    chosen = cache(products.chosen_kernel.__wrapped__)
    for module in (products, spec):
        monkeypatch.setattr(module, "chosen_kernel", chosen)
    return tmp_path / "kernels"


@pytest.fixture
def measurements(monkeypatch):
    """The list gets an entry for every measurement; the times are made up."""
    made = []
    monkeypatch.setattr(products, "measured", lambda: made.append(1) or dict(FAST))
    return made


def chosen_anew():
    """The choice of another process on the same machine."""
    products.chosen_kernel.cache_clear()
    return products.chosen_kernel()


@pytest.mark.parametrize(("seconds", "kernel"), [(FAST, "onednn"), (SLOW, "mkl"), ({"mkl": 1.05, "onednn": 1}, "mkl")])
def test_onednn_is_taken_where_it_is_clearly_faster(seconds, kernel):
    assert faster(seconds) == kernel


def test_both_kernels_of_this_machine_are_exact_and_take_time():
    assert all(0 < seconds < 1 for seconds in measured().values())


def test_a_machine_is_measured_once(measurements, folder):
    assert [chosen_anew() for _ in range(3)] == ["onednn"] * 3
    assert len(measurements) == 1
    (file,) = folder.iterdir()
    assert json.loads(file.read_text(encoding="utf-8"))["seconds"] == FAST


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", "null", "{}", '{"seconds": 1}', '{"seconds": {"mkl": 1}}', '{"seconds": {"mkl": null}}']
)
def test_a_broken_note_is_measured_again(measurements, folder, broken):
    products.chosen_kernel()
    (file,) = folder.iterdir()
    file.write_text(broken, encoding="utf-8")
    assert chosen_anew() == "onednn"
    assert len(measurements) == 2
    assert json.loads(file.read_text(encoding="utf-8"))["seconds"] == FAST


def test_a_cache_that_cannot_be_written_only_costs_time(measurements, folder):
    folder.write_text("a file where the folder should be", encoding="utf-8")
    assert [chosen_anew() for _ in range(2)] == ["onednn"] * 2
    assert len(measurements) == 2


def test_without_a_home_a_kernel_is_chosen_all_the_same(measurements, monkeypatch):
    def homeless():
        raise products.StoreError("There is no place for a cache")

    monkeypatch.setattr(products, "cache_folder", homeless)
    assert products.chosen_kernel() == "onednn"


def test_what_is_named_is_not_measured(measurements, monkeypatch, folder):
    for kernel in KERNELS:
        monkeypatch.setenv(CHOICE, kernel)
        assert chosen_anew() == kernel
    assert not measurements
    assert not folder.exists()


def test_an_unknown_kernel_is_a_usage_error(measurements, monkeypatch):
    monkeypatch.setenv(CHOICE, "cublas")
    with pytest.raises(UsageError, match=rf"{CHOICE} names no kernel: expected mkl or onednn, got cublas\."):
        products.chosen_kernel()
    assert not measurements


def test_a_build_without_onednn_takes_mkl_and_cannot_be_told_otherwise(measurements, monkeypatch):
    monkeypatch.setattr(products, "has_onednn", lambda: False)
    assert products.chosen_kernel() == "mkl"
    monkeypatch.setenv(CHOICE, "onednn")
    with pytest.raises(UsageError, match=rf"has no oneDNN, got .*\. Unset {CHOICE}\."):
        chosen_anew()
    assert not measurements


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_kernel_that_rounds_more_than_float32_is_never_chosen(monkeypatch, dtype):
    monkeypatch.setattr(products, "FASTER", 0.0)  # any time would be fast enough
    assert faster(measured()) == "onednn"
    monkeypatch.setitem(KERNELS, "onednn", lambda a, b: plain(a.to(dtype).float(), b.to(dtype).float()))
    assert measured()["onednn"] == float("inf")
    assert products.chosen_kernel() == "mkl"
    assert measured_once()["onednn"] == float("inf"), "infinity is read as it was written"


# Where it is told


def test_the_kernel_belongs_to_the_specification_of_a_trial_and_to_its_key(monkeypatch):
    specs = []
    for kernel in KERNELS:
        monkeypatch.setenv(CHOICE, kernel)
        products.chosen_kernel.cache_clear()
        specs.append(TrialSpec.of(load_model("tiny"), synthetic_task("sst2"), [], k=4))
        assert specs[-1].record()["kernels"].endswith(f"float32 by {kernel}")
    assert specs[0].key() != specs[1].key()


@pytest.mark.parametrize(
    ("named", "seconds", "said"),
    [
        (None, FAST, f"float32 by onednn, 3.00 times as fast as mkl; {CHOICE}=mkl takes the other one"),
        (None, SLOW, f"float32 by mkl, 1.00 times as fast as onednn; {CHOICE}=onednn takes the other one"),
        (
            "mkl",
            FAST,
            f"float32 by mkl, 0.33 times as fast as onednn, as {CHOICE} says; unset it to take the faster one",
        ),
        (None, {**FAST, "onednn": float("inf")}, "float32 by mkl, as onednn is not exact to float32"),
    ],
)
def test_the_doctor_says_which_kernel_is_taken_and_how_to_take_another(monkeypatch, named, seconds, said):
    monkeypatch.setattr(products, "measured", lambda: dict(seconds))
    if named:
        monkeypatch.setenv(CHOICE, named)
    assert doctor._products() == doctor.Line("products on the CPU", said)


def test_the_doctor_says_what_is_wrong_with_a_choice(monkeypatch):
    monkeypatch.setenv(CHOICE, "cublas")
    line = doctor._products()
    assert line.found == "no kernel can be chosen"
    assert "expected mkl or onednn, got cublas." in line.todo


def test_the_doctor_says_that_a_build_has_no_onednn(monkeypatch):
    monkeypatch.setattr(products, "has_onednn", lambda: False)
    assert doctor._products().found == "float32 by mkl: this build of torch has no oneDNN"
