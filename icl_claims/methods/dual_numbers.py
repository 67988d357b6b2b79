"""Dual numbers, values with first-order changes (tangents), and what is computed from them: forward-mode autograd."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

dual: Callable[[Tensor, Tensor], Tensor] = forward_ad.make_dual
"""A value with its first-order change."""


@contextmanager
def dual_numbers() -> Iterator[None]:
    """While this lasts, tensors can carry changes, and what is computed from them carries its own."""
    with forward_ad.dual_level(), _ConstantWeights():
        yield


def with_tangents(values: Mapping[str, Tensor], changes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Dual numbers by name, from values and their changes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own: the first dual number compiles scripts
        return {name: dual(value, changes[name]) for name, value in values.items()}


def first_order(number: Tensor) -> Tensor:
    """Value and first-order change of a dual number, added."""
    value, change = parts(number)
    return value + change


def parts(number: Tensor) -> tuple[Tensor, Tensor]:
    """Value and first-order change of a dual number; the change is 0 where it carries none."""
    value, change = _unpacked(number)
    return value, torch.zeros_like(value) if change is None else change


class _ConstantWeights(TorchFunctionMode):
    """Skips the zero term of the product rule: a weight without a tangent multiplies only the input's tangent.

    d(W x) = dW x + W dx, and where dW is 0 torch still multiplies a matrix of zeros: three products in place of two.
    Tangents are computed without a graph, as nothing here is differentiated twice.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.linear:
            return _linear(*args, **kwargs)
        if func is torch.addmm and not kwargs:
            return _addmm(*args)
        return func(*args, **kwargs)


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    value, change = _unpacked(inputs)
    if change is None or _unpacked(weight)[1] is not None or (bias is not None and _unpacked(bias)[1] is not None):
        return nn.functional.linear(inputs, weight, bias)
    with torch.no_grad():
        changed = nn.functional.linear(change, weight)
    return dual(nn.functional.linear(value, weight, bias), changed)


def _addmm(bias: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
    value, change = _unpacked(inputs)
    if change is None or any(_unpacked(constant)[1] is not None for constant in (bias, weight)):
        return torch.addmm(bias, inputs, weight)
    with torch.no_grad():
        changed = change @ weight
    return dual(torch.addmm(bias, value, weight), changed)


def _unpacked(number: Tensor) -> tuple[Tensor, Tensor | None]:
    unpack: Callable[[Tensor], tuple[Tensor, Tensor | None]] = forward_ad.unpack_dual
    value, change = unpack(number)
    return value, change
