"""A vocabulary that is read in parts gives the losses, log-probabilities and gradients of whole logits."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from icl_claims.models import read_out
from icl_claims.models.random_models import VOCABULARY, random_network
from tests.fast.test_self_check import model_of, network_of

HIDDEN, ROWS = 16, 24
WORDS = [3, 0, VOCABULARY - 1, 3, 17]
WANTED = [(7 * row) % VOCABULARY for row in range(ROWS)]
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
FIELDS = {
    "cohere": {"logit_scale": 0.25},
    "granite": {"logits_scaling": 8.0},
    "gemma2": {"final_logit_softcapping": 3.0},
}
AFTER_HEAD = {
    "cohere": lambda logits: 0.25 * logits,
    "granite": lambda logits: logits / 8,
    "gemma2": lambda logits: 3 * torch.tanh(logits / 3),
}
LINEAR = ("llama", "phi")  # phi's head has a bias
every_head = pytest.mark.parametrize("kind", [*LINEAR, *FIELDS])
every_linear_head = pytest.mark.parametrize("kind", LINEAR)


@cache
def network(kind):
    return network_of(kind, layers=1, **FIELDS[kind]) if kind in FIELDS else random_network(kind, 1, 0)


@cache
def head_of(kind, dtype=torch.float32):
    return model_of(copy.deepcopy(network(kind)).to(dtype)).read_out


def states(size=1.0, dtype=torch.float32):
    """What a head is given: another state in every row."""
    return (size * torch.randn(ROWS, HIDDEN, generator=torch.Generator().manual_seed(0))).to(dtype)


def written_out(head, given, kind):
    """Log-probabilities of the whole vocabulary in float64, from the very weights and states."""
    weight, bias = head.blocks.head.weight, head.blocks.head.bias
    logits = given.double() @ weight.double().T + (0 if bias is None else bias.double())
    return AFTER_HEAD.get(kind, lambda logits: logits)(logits).log_softmax(-1)


def losses_of_whole_logits(head, given, kind):
    return -written_out(head, given, kind)[torch.arange(ROWS), WANTED]


def with_gradient(losses_of, given):
    """Losses, and the gradient of their sum, each weighted differently."""
    leaf = given.clone().requires_grad_()
    losses = losses_of(leaf)
    (gradient,) = torch.autograd.grad((losses * torch.linspace(-1, 2, ROWS, dtype=losses.dtype)).sum(), leaf)
    return losses.detach(), gradient


def check(head, given, kind, **close):
    """That losses, their gradients and log-probabilities are those of whole logits."""
    losses, gradient = with_gradient(lambda leaf: head.losses(leaf, WANTED), given)
    exact, right = with_gradient(lambda leaf: losses_of_whole_logits(head, leaf, kind), given.double())
    assert gradient.dtype == given.dtype
    torch.testing.assert_close(losses.double(), exact, **close)
    torch.testing.assert_close(gradient.double(), right, **close)
    read = head.log_probabilities(given, WORDS)
    torch.testing.assert_close(read.double(), written_out(head, given.double(), kind)[:, WORDS], **close)


@pytest.fixture(params=[5, VOCABULARY - 1])
def small_parts(request, monkeypatch):
    """As if so few words were many, so that there are several parts; the rows come in parts, too."""
    monkeypatch.setattr(read_out, "LOGITS_AT_ONCE", 1)
    monkeypatch.setattr(read_out, "LEAST_WORDS", request.param)
    monkeypatch.setattr(read_out, "MOST_ROWS", 5)


@pytest.mark.parametrize(
    ("kind", "linear"), [("llama", True), ("phi", True), ("cohere", False), ("granite", False), ("gemma2", False)]
)
def test_what_comes_after_a_head_is_found(kind, linear):
    assert (head_of(kind).words, head_of(kind).in_parts, head_of(kind).linear) == (VOCABULARY, True, linear)
    assert (head_of(kind).blocks.head.bias is not None) == (kind == "phi")


@every_head
def test_losses_and_log_probabilities_are_those_of_whole_logits(kind, each_kernel):
    check(head_of(kind), states(), kind, **CLOSE)


@every_head
@pytest.mark.usefixtures("small_parts")
def test_parts_of_a_vocabulary_agree_with_all_of_it(kind, each_kernel):
    check(head_of(kind), states(), kind, **CLOSE)


@every_head
@pytest.mark.usefixtures("small_parts")
def test_a_head_that_cannot_be_read_in_parts_gives_the_same(kind):
    check(replace(head_of(kind), in_parts=False, linear=False), states(), kind, **CLOSE)


def test_a_cap_that_is_forgotten_would_be_seen():
    with pytest.raises(AssertionError, match="not close"):
        check(replace(head_of("gemma2"), linear=True), states(), "gemma2", **CLOSE)


@every_head
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.usefixtures("small_parts")
def test_half_precision_is_right_within_its_roundings(kind, dtype):
    head, given = head_of(kind, dtype), states(dtype=dtype)
    roundings = 8 * torch.finfo(dtype).eps
    check(head, given, kind, atol=roundings, rtol=roundings)
    assert head.losses(given, WANTED).dtype == head.log_probabilities(given, WORDS).dtype == torch.float32


@every_head
def test_double_precision_stays_double(kind):
    check(head_of(kind, torch.float64), states(dtype=torch.float64), kind, atol=1e-12, rtol=1e-12)


@every_head
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e4), (torch.float16, 3e3)])
@pytest.mark.usefixtures("small_parts")
def test_extreme_logits_neither_overflow_nor_vanish(kind, dtype, size):
    head, given = head_of(kind, dtype), states(size, dtype)
    roundings = 8 * torch.finfo(dtype).eps
    losses = head.losses(given, WANTED)
    assert losses.max() > (5 if kind == "gemma2" else 1e3)
    check(head, given, kind, atol=roundings * float(losses.max()), rtol=roundings)


@pytest.mark.parametrize(("kind", "highest"), [("llama", 24.0), ("phi", 24.0), ("granite", 8 * 24.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.usefixtures("small_parts")
def test_gradients_of_words_that_are_nearly_certain_keep_their_digits(kind, highest, dtype):
    head = head_of(kind, dtype)
    weight = head.blocks.head.weight[WANTED].double()
    given = (highest * weight / weight.square().sum(-1, keepdim=True)).to(dtype)
    scale = 1024  # as learning scales a loss, whose gradients float16 could not hold
    _, gradient = with_gradient(lambda leaf: scale * head.losses(leaf, WANTED), given)
    exact, right = with_gradient(lambda leaf: scale * losses_of_whole_logits(head, leaf, kind), given.double())
    assert exact.min() < scale * 1e-5, "one less the probability of such a word has no digits in half precision"
    roundings = 48 * torch.finfo(dtype).eps  # of exp(logit), for logits up to 24
    assert ((gradient.double() - right).norm(dim=-1) <= roundings * right.norm(dim=-1)).all()


@every_head
def test_words_that_are_alike_do_not_leave_the_range_of_float16(kind):
    head = model_of(copy.deepcopy(network(kind)).half()).read_out
    with torch.no_grad():
        head.blocks.head.weight.add_(3000.0)  # the sum of all words' weights is more than float16 can hold
    given = states(1e-4, torch.float16)
    roundings = 8 * torch.finfo(torch.float16).eps
    check(head, given - given.mean(-1, keepdim=True), kind, atol=3000 * roundings, rtol=roundings)


@every_head
@pytest.mark.usefixtures("small_parts")
def test_log_probabilities_of_all_words_sum_to_one(kind):
    read = head_of(kind).log_probabilities(states(3.0), range(VOCABULARY))
    torch.testing.assert_close(read.logsumexp(-1), torch.zeros(ROWS), **CLOSE)


def test_what_is_not_differentiated_has_no_graph_and_nothing_is_differentiated_twice():
    head, leaf = head_of("llama"), states().requires_grad_()
    assert not head.log_probabilities(leaf, WORDS).requires_grad
    assert not head.losses(states(), WANTED).requires_grad
    (gradient,) = torch.autograd.grad(head.losses(leaf, WANTED).square().sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@every_head
def test_the_same_is_read_to_the_last_bit(kind, each_kernel):
    one, other = (with_gradient(lambda leaf: head_of(kind).losses(leaf, WANTED), states()) for _ in range(2))
    assert all(map(torch.equal, one, other))


# What is held in memory


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gives, but for views of the head's weights."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made._base is None:
            self.numbers = max(self.numbers, made.numel())
        return made


def largest(head):
    given = states().requires_grad_()
    with Largest() as made:
        head.losses(given, WANTED).sum().backward()
        head.log_probabilities(given, WORDS)
    return made.numbers


@every_linear_head
def test_logits_of_a_whole_vocabulary_are_never_held(kind, monkeypatch):
    monkeypatch.setattr(read_out, "LEAST_WORDS", 7)
    monkeypatch.setattr(read_out, "LOGITS_AT_ONCE", 1)
    assert largest(head_of(kind)) == ROWS * HIDDEN < ROWS * VOCABULARY  # a state in every row
    monkeypatch.setattr(read_out, "LEAST_WORDS", VOCABULARY)
    assert largest(head_of(kind)) == ROWS * VOCABULARY
