"""Sums and products of a dual number with a constant are those that torch itself makes."""

from __future__ import annotations

import operator

import pytest
import torch
from torch.autograd import forward_ad

from icl_claims.methods.linearized import dual_numbers
from icl_claims.models import forward_mode
from icl_claims.models.forward_mode import WITH_CONSTANT, unpacked, with_constant
from icl_claims.models.products import fast_products

DRAW = torch.Generator().manual_seed(0)
VALUE, CHANGE, OTHER = (torch.randn(3, 4, generator=DRAW) for _ in range(3))
CONSTANTS = {
    "matrix": OTHER,
    "row": OTHER[0],
    "wider": torch.stack([OTHER, OTHER]),
    "number": 1.5,
    "single": OTHER[0, 0],
}
functions = pytest.mark.parametrize("function", sorted(WITH_CONSTANT, key=repr))


CASES = [(name, True) for name in CONSTANTS] + [(name, False) for name in CONSTANTS if name != "number"]


@functions
@pytest.mark.parametrize(("constant", "first"), CASES)
def test_value_and_change_are_torchs(function, constant, first):
    other = CONSTANTS[constant]
    with dual_numbers():
        moved = forward_ad.make_dual(VALUE, CHANGE)
        case = (moved, other) if first else (other, moved)
        wanted, got = function(*case), with_constant(function, *case)
        for mine, theirs in zip(unpacked(got), unpacked(wanted), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@functions
def test_what_it_does_not_know_it_leaves_to_torch(function):
    with dual_numbers():
        moved = forward_ad.make_dual(VALUE, CHANGE)
        assert with_constant(function, moved, moved) is None
        assert with_constant(function, VALUE, OTHER) is None


def test_the_value_keeps_its_gradient_and_the_change_has_none():
    leaf, weight = VALUE.clone().requires_grad_(), OTHER.clone().requires_grad_()
    with dual_numbers():
        value, change = unpacked(with_constant(torch.mul, forward_ad.make_dual(leaf, CHANGE), weight))
        assert not change.requires_grad
        value.sum().backward()
    torch.testing.assert_close(leaf.grad, OTHER)
    torch.testing.assert_close(weight.grad, VALUE)


@pytest.mark.parametrize("symbol", [operator.mul, operator.add, operator.sub])
def test_operators_go_this_way_where_products_are_fast(symbol, monkeypatch):
    seen, plainly = [], forward_mode.packed
    monkeypatch.setattr(forward_mode, "packed", lambda *number: seen.append(number) or plainly(*number))
    with dual_numbers(), fast_products(VALUE.device, VALUE.dtype):
        moved = forward_ad.make_dual(VALUE, CHANGE)
        got = symbol(moved, OTHER)
    assert len(seen) == 1
    with dual_numbers():
        torch.testing.assert_close(unpacked(got)[0], symbol(VALUE, OTHER))
