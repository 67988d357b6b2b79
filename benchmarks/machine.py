"""How fast this machine multiplies matrices of a model's shapes, by each of the kernels that it has for it."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from statistics import mean
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from benchmarks.arithmetic import blocks_matrices, head_matrices
from benchmarks.timing import timed
from icl_claims.experiments.spec import kernels
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.products import has_onednn, onednn

BURST = 0.1  # seconds
SETTLING = 0.05  # seconds in which waiting threads of another library fall asleep

Multiply = Callable[[Tensor, Tensor], object]
"""Multiplies inputs [tokens, inner] with weights [outer, inner]."""


@dataclass(frozen=True)
class MachineRate:
    """Floating-point operations a second of matrix products on this machine, now, by kernel.

    Args:
        peak: of one product of the best of the model's shapes, again and again.
        products: of all the linear layers by themselves, one after another, with their own weights.
    """

    peak: Mapping[str, float]
    products: Mapping[str, float]

    @classmethod
    def between(cls, *rates: MachineRate) -> MachineRate:
        """The mean of some rates of one machine."""
        return cls(*({kernel: mean(of[kernel] for of in found) for kernel in found[0]} for found in _sides(rates)))


def _sides(rates: Sequence[MachineRate]) -> Iterator[list[Mapping[str, float]]]:
    yield [rate.peak for rate in rates]
    yield [rate.products for rate in rates]


def machine_rate(model: LanguageModel, tokens: int, *, head: int = 0) -> MachineRate:
    """How fast this machine multiplies so many tokens with a model's matrices, in the model's dtype.

    Args:
        model: whose blocks' linear layers give the shapes.
        tokens: rows of the left side.
        head: rows of the left side of the projection onto the vocabulary; 0 if it is none of the products.
    """
    sides = [(tokens, w) for w in blocks_matrices(model)] + [(head, w) for w in head_matrices(model) if head]
    inputs = {(rows, w.shape[1]): w.new_zeros(rows, w.shape[1]) for rows, w in sides}
    products_of = [(inputs[rows, w.shape[1]], w) for rows, w in sides]
    shapes = {(len(left), *right.shape): (left, right) for left, right in products_of}.values()
    operations = 2.0 * sum(rows * w.numel() for rows, w in sides)
    peak: dict[str, float] = {}
    products: dict[str, float] = {}
    with torch.inference_mode(), _numpys_threads(torch.get_num_threads()):
        for kernel, multiply in kernels_of(model.device, model.dtype).items():
            time.sleep(SETTLING)
            peak[kernel] = max(_rate(multiply, left, right) for left, right in shapes)
            _, spent = timed(partial(_one_after_another, multiply, products_of))
            products[kernel] = operations / spent
    return MachineRate(peak, products)


def _one_after_another(multiply: Multiply, products: Sequence[tuple[Tensor, Tensor]]) -> None:
    for left, right in products:
        multiply(left, right)


def kernels_of(device: torch.device, dtype: torch.dtype) -> dict[str, Multiply]:
    """The kernels that a device has for products of a dtype, by name."""
    if device.type != "cpu":
        return {"cuBLAS" if device.type == "cuda" else device.type: nn.functional.linear}
    found: dict[str, Multiply] = {}
    full_precision = dtype in (torch.float32, torch.float64)
    if full_precision:
        found[_numpys_kernel()] = lambda left, right: np.matmul(left.numpy(), right.numpy().T)
    found["MKL" if full_precision and torch.backends.mkl.is_available() else "torch"] = nn.functional.linear
    if has_onednn():
        with suppress(RuntimeError):  # it has no half precision on processors without instructions for it
            onednn(torch.ones(1, 1, dtype=dtype), torch.ones(1, 1, dtype=dtype))
            found["oneDNN"] = onednn
    return found


def _numpys_kernel() -> str:
    config: Any = np.show_config(mode="dicts")
    name = str(config["Build Dependencies"]["blas"]["name"])
    return "OpenBLAS" if "openblas" in name else f"numpy's {name}"


@contextmanager
def _numpys_threads(threads: int) -> Iterator[None]:
    """While open, numpy has so many threads if threadpoolctl is installed, and else as many as it takes."""
    if find_spec("threadpoolctl") is None:
        yield
        return
    with import_module("threadpoolctl").threadpool_limits(threads, user_api="blas"):
        yield


def _rate(multiply: Multiply, left: Tensor, right: Tensor) -> float:
    multiply(left, right)
    _, once = timed(lambda: multiply(left, right))
    times = max(1, math.ceil(BURST / once))
    _, spent = timed(lambda: [multiply(left, right) for _ in range(times)])
    return 2.0 * left.shape[0] * right.numel() * times / spent


def described(device: torch.device) -> dict[str, Any]:
    """The machine, its device and the versions of a measurement."""
    return {
        "machine": f"{platform.system()} {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        **_device(device),
        "threads": torch.get_num_threads(),
        "threads_of_numpy": "as those of torch" if find_spec("threadpoolctl") else "as many as it takes",
        "kernels": kernels(device.type),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _device(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"device": str(device)}
    card = torch.cuda.get_device_properties(device)
    return {
        "device": f"{card.name}, compute capability {card.major}.{card.minor}, {card.total_memory / 2**30:.0f} GiB",
        "devices": torch.cuda.device_count(),
        "cuda": torch.version.cuda,
    }
