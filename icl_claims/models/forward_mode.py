"""Dual numbers, a value with its first-order change, and their sums and products with constants.

torch takes the change of a constant for zero, and finds out in Python what a product with zero looks like: ten times as
long as the product itself takes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

_MULTIPLY = {torch.mul, torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__}
_ADD = {torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__}
_SUBTRACT = {torch.sub, torch.Tensor.sub, torch.Tensor.__sub__}
WITH_CONSTANT = _MULTIPLY | _ADD | _SUBTRACT
"""The functions of two numbers that `with_constant` knows."""


def within_dual_level() -> bool:
    """Whether tensors can carry changes now."""
    level: Any = forward_ad._current_level
    return bool(level >= 0)


def unpacked(number: Tensor) -> tuple[Tensor, Tensor | None]:
    """The value of a number, and its change; None where it carries none."""
    unpack: Any = forward_ad.unpack_dual
    value, change = unpack(number) if within_dual_level() else (number, None)
    return value, change


def packed(value: Tensor, change: Tensor | None) -> Tensor:
    """A value with its change; the value alone if there is none."""
    dual: Any = forward_ad.make_dual
    number: Tensor = value if change is None else dual(value, change.to(value.dtype).expand_as(value))
    return number


def with_constant(function: Callable[..., Tensor], one: Any, other: Any) -> Tensor | None:
    """Sum, difference or product of a number that carries a change and one that does not; None of any others.

    The change is computed without a graph, as nothing is differentiated twice.
    """
    (value, change), (constant, of_constant) = (
        unpacked(number) if isinstance(number, Tensor) else (number, None) for number in (one, other)
    )
    moved = change if of_constant is None else of_constant
    if moved is None or (change is not None and of_constant is not None):
        return None
    made = function(value, constant)
    with torch.no_grad():
        if function in _MULTIPLY:
            moved = moved * (constant if of_constant is None else value)
        elif function in _SUBTRACT and of_constant is not None:
            moved = -moved
    return packed(made, moved)
