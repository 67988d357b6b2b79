"""Products with weights: by the fastest kernel of this processor that is exact to float32, and none in vain.

On processors that are not Intel's, MKL, which torch takes for float32, goes a slower way than oneDNN in the same wheel.
Which is faster is measured once per machine. Numbers of both differ by rounding; each repeats its own to the last bit.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from icl_claims.errors import StoreError, UsageError
from icl_claims.models.forward_mode import WITH_CONSTANT, packed, unpacked, with_constant, within_dual_level
from icl_claims.storage.files import cache_folder, write_atomically

Kernel = Literal["mkl", "onednn"]
"""Who computes float32 products on the CPU: torch's default (MKL in its x86 wheels), or oneDNN."""
CHOICE = "ICL_CLAIMS_PRODUCTS"
"""The environment variable that names the kernel; where it is not set, the faster one is taken."""
SHAPES = ((256, 768, 2048), (256, 2048, 768), (32, 768, 2048))
"""Rows, inputs and outputs of the products that are measured."""
ROUNDS = 7
FASTER = 1.1
"""oneDNN is taken where it is so many times as fast: a noisy measurement should not change numbers by rounding."""
EXACT = 1e-5
"""Largest difference, relative to the norm, of a kernel that counts as exact to float32."""


def plain(inputs: Tensor, weight: Tensor) -> Tensor:
    """Inputs times the transposed weight, as torch does it."""
    return nn.functional.linear(inputs, weight)


def onednn(inputs: Tensor, weight: Tensor) -> Tensor:
    """The same by oneDNN; it has no derivative of its own."""
    product: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise
    return product(inputs, weight, None, "none", [], "")


KERNELS: dict[Kernel, Callable[[Tensor, Tensor], Tensor]] = {"mkl": plain, "onednn": onednn}


@cache
def chosen_kernel() -> Kernel:
    """The kernel of float32 products on this processor: the one that `ICL_CLAIMS_PRODUCTS` names, or the faster.

    The measurement takes a fraction of a second, and is cached for this machine and version of torch.

    Raises:
        UsageError: no such kernel, or oneDNN is not in this build of torch.
    """
    named = os.environ.get(CHOICE)
    if named and named not in get_args(Kernel):
        raise UsageError(f"{CHOICE} names no kernel", expected=" or ".join(get_args(Kernel)), got=named)
    if not has_onednn():
        if named == "onednn":
            raise UsageError("This build of torch has no oneDNN", got=torch.__version__, todo=f"Unset {CHOICE}.")
        return "mkl"
    return next((kernel for kernel in get_args(Kernel) if kernel == named), None) or faster(measured_once())


def faster(seconds: Mapping[Kernel, float]) -> Kernel:
    """The kernel to take: oneDNN if it is clearly the faster one."""
    return "onednn" if seconds["onednn"] * FASTER < seconds["mkl"] else "mkl"


def measured_once() -> dict[Kernel, float]:
    """What was measured on this machine before, or else now."""
    where = f"{platform.machine()} {_processor()} torch {torch.__version__}"
    name = f"{hashlib.sha256(where.encode()).hexdigest()[:16]}.json"
    with suppress(OSError, StoreError, ValueError, KeyError, TypeError):
        known = json.loads((cache_folder() / "kernels" / name).read_text(encoding="utf-8"))
        return {kernel: float(known["seconds"][kernel]) for kernel in KERNELS}
    seconds = measured()
    with suppress(OSError, StoreError):  # where nothing can be written, the next process measures again
        write_atomically(cache_folder() / "kernels" / name, json.dumps({"machine": where, "seconds": seconds}))
    return seconds


def measured() -> dict[Kernel, float]:
    """Seconds of a few products by each kernel, the best of some turns; infinite where it is not exact to float32."""
    draw = torch.Generator().manual_seed(0)
    seconds: dict[Kernel, float] = dict.fromkeys(KERNELS, 0.0)
    with torch.inference_mode():
        for rows, inner, outer in SHAPES:
            inputs, weight = (torch.randn(size, inner, generator=draw) for size in (rows, outer))
            exact = inputs.double() @ weight.double().T
            best = dict.fromkeys(KERNELS, float("inf"))
            for _ in range(ROUNDS):
                for kernel, product in KERNELS.items():
                    start = time.perf_counter()
                    made = product(inputs, weight)
                    spent = time.perf_counter() - start
                    if (made - exact).norm() <= EXACT * exact.norm():
                        best[kernel] = min(best[kernel], spent)
            seconds = {kernel: spent + best[kernel] / rows for kernel, spent in seconds.items()}
    return seconds


def has_onednn() -> bool:
    """Whether this build of torch has oneDNN's products."""
    library: Any = torch.backends.mkldnn
    return bool(library.is_available()) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _processor() -> str:
    """The name of the processor; what the system says of it where it is silent."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor()


@contextmanager
def fast_products(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """While open, products with weights go through the chosen kernel, and those of dual numbers make none in vain."""
    kernel: Kernel = chosen_kernel() if device.type == "cpu" and dtype == torch.float32 else "mkl"
    if kernel == "mkl" and not within_dual_level():
        yield
        return
    with _Products(KERNELS[kernel]):
        yield


class _Products(TorchFunctionMode):
    """Takes the place of linear maps, also of GPT-2's, whose weights are transposed, and of what takes a detour."""

    def __init__(self, product: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self._product = product

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.linear:
            return self._linear(*args, **(kwargs or {}))
        if func is torch.addmm and not kwargs:
            bias, inputs, weight = args
            return self._linear(inputs, weight.t(), bias)
        if func in WITH_CONSTANT and not kwargs and within_dual_level():
            made = with_constant(func, *args)
            return func(*args) if made is None else made
        return func(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002  torch's name
        value, change = unpacked(input)
        matrix, of_matrix = unpacked(weight)
        apart = input.device.type != "cpu" or input.dtype != weight.dtype or not input.numel()
        product = plain if apart or input.dtype != torch.float32 else self._product
        multiply: Any = _Product.apply
        made, changed = multiply(value, change, matrix, product)
        if of_matrix is not None:
            with torch.no_grad():
                changed = _sum(changed, product(value, of_matrix))
        if bias is not None:
            constant, of_constant = unpacked(bias)
            made, changed = made + constant, _sum(changed, of_constant)
        return packed(made, changed)


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other


def _rows(states: Tensor) -> Tensor:
    return states.reshape(states.shape[:-1].numel(), states.shape[-1])


class _Product(torch.autograd.Function):
    """A product with a weight, and that of the inputs' change from one reading of the weight.

    d(W x) = dW x + W dx: only the second term is made here, and none where there is no change. Changes are computed
    without a graph, as nothing is differentiated twice. Backwards, only the gradients that somebody asks for are made.
    """

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, change: Tensor | None, weight: Tensor, product: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        ctx.save_for_backward(value, weight)
        ctx.product = product
        if change is None:
            return product(value, weight), None
        made, changed = (one.clone() for one in product(torch.stack([value, change]), weight))
        ctx.mark_non_differentiable(changed)
        return made, changed

    @staticmethod
    def backward(ctx: Any, of_made: Tensor, _of_changed: Tensor | None) -> tuple[Tensor | None, ...]:
        value, weight = ctx.saved_tensors
        of_value = of_weight = None
        if ctx.needs_input_grad[0]:
            of_value = ctx.product(of_made, weight.t())
        if ctx.needs_input_grad[2]:
            of_weight = ctx.product(_rows(of_made).t(), _rows(value).t())
        return of_value, None, of_weight, None
