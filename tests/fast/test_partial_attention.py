"""Attention in parts is attention over all keys at once, in value and in both kinds of derivative."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import forward_ad

from icl_claims.models.partial_attention import Scores, attend_part

DOUBLE = torch.float64
sizes = st.integers(1, 9)


def drawn(*shape, seed=0, dtype=DOUBLE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(dtype)


def in_two_parts(q, k, v, at, scale=0.3, seen=None):
    seen = [None, None] if seen is None else [seen[:, :at], seen[:, at:]]
    first, second = (
        attend_part(q, k[:, :, s], v[:, :, s], Scores(scale), part)
        for s, part in zip((slice(at), slice(at, None)), seen, strict=True)
    )
    return first.together_with(second)


def at_once(q, k, v, scale=0.3, seen=None):
    scores = scale * q @ k.mT
    return (scores if seen is None else scores.masked_fill(~seen, -torch.inf)).softmax(-1) @ v


def problem(queries, keys, spread=1.0):
    q, k, v = (drawn(2, 3, n, 8, seed=seed) for seed, n in enumerate((queries, keys, keys)))
    return q * spread, k, v


@pytest.mark.parametrize("inference", [True, False])
@given(queries=sizes, first=sizes, second=sizes, spread=st.sampled_from([0.0, 1.0, 300.0]))
def test_two_parts_together_equal_one_softmax_over_all_keys(inference, queries, first, second, spread):
    q, k, v = problem(queries, first + second, spread)
    with torch.inference_mode(inference):
        torch.testing.assert_close(in_two_parts(q, k, v, first), at_once(q, k, v))


@pytest.mark.parametrize("inference", [True, False])
def test_a_part_that_a_query_does_not_see_has_no_weight(inference):
    q, k, v = problem(3, 6)
    seen = torch.tensor([[0, 0, 0, 1, 1, 0], [1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    with torch.inference_mode(inference):
        torch.testing.assert_close(in_two_parts(q, k, v, 3, seen=seen), at_once(q, k, v, seen=seen))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("masked", [True, False])
def test_the_kernel_without_scores_gives_what_scores_give(dtype, masked):
    q, k, v = (x.to(dtype) for x in problem(7, 40))
    seen = torch.ones(7, 40, dtype=torch.bool).tril(20) if masked else None
    plain = attend_part(q, k, v, Scores(0.3), seen)
    with torch.inference_mode():
        fused = attend_part(q, k, v, Scores(0.3), seen)
    close = {torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}[dtype]
    torch.testing.assert_close(fused.attended, plain.attended, atol=close, rtol=close)
    torch.testing.assert_close(fused.log_mass, plain.log_mass, atol=close, rtol=close)
    assert fused.log_mass.dtype == plain.log_mass.dtype == torch.float32


def test_heads_that_share_a_key_head_need_no_copy_of_it():
    q, k, v = problem(5, 9)
    one_k, one_v = k[:, :1], v[:, :1]
    with torch.inference_mode():
        shared = attend_part(q, one_k.expand(-1, 3, -1, -1), one_v.expand(-1, 3, -1, -1), Scores(0.3))
        copied = attend_part(q, one_k.repeat(1, 3, 1, 1), one_v.repeat(1, 3, 1, 1), Scores(0.3))
    torch.testing.assert_close(shared.attended, copied.attended)


def test_the_gradients_of_parts_are_those_of_one_softmax():
    inputs = [x.requires_grad_() for x in problem(4, 7)]
    direction = drawn(2, 3, 4, 8, seed=9)
    got, wanted = (
        torch.autograd.grad((attended * direction).sum(), inputs)
        for attended in (in_two_parts(*inputs, 3), at_once(*inputs))
    )
    torch.testing.assert_close(got, wanted)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # of torch itself, once
def test_forward_derivatives_of_parts_are_those_of_a_softmax():
    inputs, tangents = problem(4, 7), [drawn(*x.shape, seed=5) for x in problem(4, 7)]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, tangent) for x, tangent in zip(inputs, tangents, strict=True)]
        got, wanted = (forward_ad.unpack_dual(x).tangent for x in (in_two_parts(*duals, 3), at_once(*duals)))
    torch.testing.assert_close(got, wanted)
