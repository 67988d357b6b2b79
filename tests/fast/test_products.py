"""Products by either kernel are those of float64 up to rounding: values, gradients and first-order changes."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import forward_ad

from icl_claims.methods.linearized import dual_numbers, parts
from icl_claims.models import products
from icl_claims.models.products import KERNELS, fast_products, plain

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
needs_onednn = pytest.mark.skipif(not products.has_onednn(), reason="this build of torch has no oneDNN")
both_kernels = pytest.mark.parametrize("kernel", ["mkl", pytest.param("onednn", marks=needs_onednn)])
every_shape = pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7)])
every_map = pytest.mark.parametrize("bias", [True, False])


@contextmanager
def by(kernel):
    """While open, products go through this kernel, by way of the function mode whichever it is."""
    with products._Products(KERNELS[kernel]):
        yield


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def layer(inputs, weight, bias=None):
    return nn.functional.linear(inputs, weight, bias)


def gpt2s(inputs, weight, bias):
    """The same as GPT-2 writes it, with a transposed weight."""
    flat = torch.addmm(bias, inputs.reshape(-1, inputs.shape[-1]), weight.t().contiguous())
    return flat.view(*inputs.shape[:-1], -1)


def given_to(shape, bias, seed=0):
    """Inputs, weight and perhaps a bias."""
    return (drawn(*shape, seed=seed), drawn(4, shape[-1], seed=seed + 1), *([drawn(4, seed=seed + 2)] if bias else []))


def doubles(tensors):
    return tuple(tensor.double() for tensor in tensors)


def gradients_through(multiply, tensors):
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    made = multiply(*leaves)
    direction = drawn(*made.shape, seed=9, dtype=made.dtype)
    return made.detach(), torch.autograd.grad((made * direction).sum(), leaves)


@both_kernels
@every_shape
@every_map
def test_values_and_gradients_are_those_of_float64(kernel, shape, bias):
    tensors = given_to(shape, bias)
    with by(kernel):
        made, gradients = gradients_through(layer, tensors)
    wanted, exact = gradients_through(layer, doubles(tensors))
    torch.testing.assert_close(made.double(), wanted, **CLOSE)
    for got, right in zip(gradients, exact, strict=True):
        torch.testing.assert_close(got.double(), right, **CLOSE)


@both_kernels
def test_the_layers_of_gpt2_are_products_too(kernel):
    tensors = given_to((2, 3, 7), bias=True)
    with by(kernel), counted(kernel) as calls:
        made, gradients = gradients_through(gpt2s, tensors)
    assert len(calls) == 3, "the product itself, and the gradients in inputs and weight"
    wanted, exact = gradients_through(layer, doubles(tensors))
    torch.testing.assert_close(made.double(), wanted, **CLOSE)
    for got, right in zip(gradients, exact, strict=True):
        torch.testing.assert_close(got.double(), right, **CLOSE)


@both_kernels
@settings(max_examples=25)
@given(rows=st.integers(1, 40), inner=st.integers(1, 40), outer=st.integers(1, 40), seed=st.integers(0, 99))
def test_matrices_of_any_shape(kernel, rows, inner, outer, seed):
    inputs, weight = drawn(rows, inner, seed=seed), drawn(outer, inner, seed=seed + 1)
    with by(kernel):
        made = layer(inputs, weight)
    torch.testing.assert_close(made.double(), layer(inputs.double(), weight.double()), **CLOSE)


@contextmanager
def counted(kernel):
    """While open, the list gets the shape of every product that the mode makes."""
    calls = []

    def product(inputs, weight):
        calls.append((*inputs.shape[:-1], *weight.shape[::-1]))
        return KERNELS[kernel](inputs, weight)

    with products._Products(product):
        yield calls


@both_kernels
@pytest.mark.parametrize(("wanted", "made"), [((), 1), ((0,), 2), ((1,), 2), ((2,), 1), ((0, 1, 2), 3)])
def test_only_gradients_that_are_wanted_are_computed(kernel, wanted, made):
    tensors = [tensor.requires_grad_(at in wanted) for at, tensor in enumerate(given_to((5, 7), bias=True))]
    with counted(kernel) as calls:
        result = layer(*tensors)
        assert result.requires_grad == bool(wanted)
        if wanted:
            torch.autograd.grad(result.sum(), [tensors[at] for at in wanted])
    assert len(calls) == made


# Dual numbers


def changes_for(tensors, moved):
    return [drawn(*tensor.shape, seed=20 + at) if at in moved else None for at, tensor in enumerate(tensors)]


def moved_by(tensors, changes):
    """As torch itself differentiates the same in float64."""
    tangents = tuple(
        torch.zeros_like(tensor) if change is None else change for tensor, change in zip(tensors, changes, strict=True)
    )
    return torch.func.jvp(layer, doubles(tensors), doubles(tangents))


@both_kernels
@every_shape
@pytest.mark.parametrize("moved", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_changes_are_those_of_float64(kernel, shape, moved):
    tensors = given_to(shape, bias=True)
    changes = changes_for(tensors, moved)
    with dual_numbers(), by(kernel):
        numbers = [
            one if to is None else forward_ad.make_dual(one, to) for one, to in zip(tensors, changes, strict=True)
        ]
        value, got = parts(layer(*numbers))
        folded_value, folded = parts(gpt2s(*numbers))
    wanted, change = moved_by(tensors, changes)
    torch.testing.assert_close(value.double(), wanted, **CLOSE)
    torch.testing.assert_close(got.double(), change, **CLOSE)
    torch.testing.assert_close((folded_value, folded), (value, got), **CLOSE)


@both_kernels
@pytest.mark.parametrize(("moved", "shapes"), [((), ["one"]), ((2,), ["one"]), ((0,), ["two"]), ((1,), ["one"] * 2)])
def test_changes_take_no_product_in_vain(kernel, moved, shapes):
    tensors = given_to((5, 7), bias=True)
    sizes = {"one": (5, 7, 4), "two": (2, 5, 7, 4)}
    with dual_numbers(), counted(kernel) as calls:
        layer(*(forward_ad.make_dual(one, one) if at in moved else one for at, one in enumerate(tensors)))
    assert calls == [sizes[name] for name in shapes]


@both_kernels
def test_gradients_of_the_value_are_the_same_beside_a_change(kernel):
    tensors = given_to((2, 3, 7), bias=True)
    changes = changes_for(tensors, (0, 1))
    _, exact = gradients_through(layer, doubles(tensors))

    def at_value(*leaves):
        return parts(
            layer(*(forward_ad.make_dual(a, b) for a, b in zip(leaves[:2], changes, strict=False)), leaves[2])
        )[0]

    with dual_numbers(), by(kernel):
        _, gradients = gradients_through(at_value, tensors)
    for got, right in zip(gradients, exact, strict=True):
        torch.testing.assert_close(got.double(), right, **CLOSE)


# What falls back, and what repeats


@both_kernels
def test_a_kernel_repeats_its_numbers_to_the_last_bit(kernel):
    tensors = given_to((33, 257), bias=True)
    with by(kernel):
        (one, slopes), (other, again) = (gradients_through(layer, tensors) for _ in range(2))
    assert torch.equal(one, other)
    assert all(map(torch.equal, slopes, again))


def never(_inputs, _weight):
    raise AssertionError("This product is not the kernel's")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_another_dtype_is_left_to_torch(dtype):
    tensors = [tensor.to(dtype) for tensor in given_to((5, 7), bias=False)]
    with products._Products(never):
        assert torch.equal(layer(*tensors), plain(*tensors))


def test_another_device_is_left_to_torch():
    with products._Products(never):
        assert layer(torch.zeros(5, 7, device="meta"), torch.zeros(4, 7, device="meta")).shape == (5, 4)


@both_kernels
@pytest.mark.parametrize("shape", [(0, 7), (2, 0, 7), (0,), (3, 0)])
def test_products_of_nothing_are_empty_or_the_bias(kernel, shape):
    tensors = given_to(shape, bias=True)
    with by(kernel):
        made, gradients = gradients_through(layer, tensors)
    wanted, exact = gradients_through(layer, tensors)
    assert torch.equal(made, wanted)
    assert all(map(torch.equal, gradients, exact))


@both_kernels
def test_what_torch_refuses_is_refused(kernel):
    with by(kernel), pytest.raises(RuntimeError, match="same dtype"):
        layer(drawn(5, 7), drawn(4, 7).double())
    with by(kernel), pytest.raises(RuntimeError, match=r"size|shape|primitive"):
        layer(drawn(5, 7), drawn(4, 6))


@pytest.mark.parametrize(
    ("named", "dtype", "device", "taken"),
    [
        pytest.param("onednn", torch.float32, "cpu", True, marks=needs_onednn),
        ("mkl", torch.float32, "cpu", False),
        ("onednn", torch.float64, "cpu", False),
        ("onednn", torch.float32, "meta", False),
    ],
)
def test_products_are_taken_over_where_a_kernel_is_chosen(monkeypatch, named, dtype, device, taken):
    monkeypatch.setattr(products, "chosen_kernel", lambda: named)
    calls = []
    monkeypatch.setitem(KERNELS, named, lambda inputs, weight: calls.append(1) or plain(inputs, weight))
    with fast_products(torch.device(device), dtype):
        layer(torch.zeros(5, 7, dtype=dtype, device=device), torch.zeros(4, 7, dtype=dtype, device=device))
    assert bool(calls) == taken
