"""The benchmark's counts of arithmetic are those that torch itself counts, and its rates are those of real products."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.arithmetic import Sizes, operations, step_operations
from benchmarks.machine import MachineRate, kernels_of, machine_rate
from benchmarks.outcome import Rounds
from icl_claims.methods.linearized import dual_numbers
from icl_claims.models.products import fast_products
from icl_claims.models.random_models import BOS, random_model, random_network

TOKENS = 9
IDS = torch.tensor([[BOS, *range(4, 3 + TOKENS)]])
FAMILIES = ("opt", "llama", "qwen2")  # whose keys and values have matrices of their own


def plain_network(family: str):
    """Transformers' own, with eager attention, in which keys and values alone have gradients."""
    network = random_network(family, 3, 0).requires_grad_(False)
    tuned = {name: p for name, p in network.named_parameters() if ".k_proj." in name or ".v_proj." in name}
    return network, {name: p.requires_grad_() for name, p in tuned.items()}


def counted(work) -> float:
    """What torch counts, with the pairs that a causal mask hides taken out of the attention's products."""
    with FlopCounterMode(display=False) as counter:
        work()
    by_kind = {str(kind): flops for kind, flops in counter.get_flop_counts()["Global"].items()}
    attention = by_kind.pop("aten.bmm", 0)
    return sum(by_kind.values()) + attention * (TOKENS + 1) / (2 * TOKENS)


def zeros_in_the_lowest_block(model) -> float:
    """What torch multiplies for nothing: the changes of the lowest block's queries, which are zero."""
    return 2.0 * Sizes.of(model).attended * TOKENS * (TOKENS + 1) / 2


def head_of(network, hidden):
    return network.get_output_embeddings()(hidden)


def hidden_of(network, weights):
    return functional_call(network.base_model, weights, (IDS,), {"use_cache": False}).last_hidden_state


def loss_of(network, logits):
    return cross_entropy(logits, IDS[0, 1:])


def inner_names(network, tuned):
    prefix = f"{network.base_model_prefix}."
    return {name.removeprefix(prefix): value for name, value in tuned.items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("learning", ["finetuning", "linearized"])
def test_a_step_counts_what_torch_counts(family, learning):
    network, tuned = plain_network(family)

    def step():
        dual = dual_numbers() if learning == "linearized" else nullcontext()
        with dual, fast_products(IDS.device, torch.float32):
            weights = inner_names(network, tuned)
            if learning == "linearized":
                weights = {name: forward_ad.make_dual(p, torch.randn_like(p)) for name, p in weights.items()}
            logits = head_of(network, hidden_of(network, weights)[0, :-1])
            loss = loss_of(network, forward_ad.unpack_dual(logits).primal if learning == "linearized" else logits)
        loss.backward()

    model = random_model(family, 3, 0)
    expected = step_operations(model, TOKENS, learning)
    if learning == "linearized":
        expected += zeros_in_the_lowest_block(model)
    assert counted(step) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_causal_step_counts_what_torch_counts(family):
    network, _ = plain_network(family)
    model, outputs = random_model(family, 3, 0), []
    names = {id(module): name for name, module in model.network.named_modules()}
    norm = network.get_submodule(names[id(model.blocks.after[0])])

    def detached(_module, args, kwargs):
        return tuple(a.detach() if isinstance(a, torch.Tensor) else a for a in args), kwargs

    for name in model.blocks.names:
        block = network.get_submodule(name)
        block.register_forward_pre_hook(detached, with_kwargs=True)
        block.register_forward_hook(
            lambda _m, _i, output: outputs.append(output[0] if isinstance(output, tuple) else output)
        )

    def step():
        network.base_model(IDS, use_cache=False)
        sum(loss_of(network, head_of(network, norm(hidden)[0, :-1])) for hidden in outputs).backward()

    expected = step_operations(model, TOKENS, "layer_causal")
    assert counted(step) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_counts_what_torch_counts(family):
    network, _ = plain_network(family)
    row = IDS[0].tolist()

    def forward():
        with torch.no_grad():
            head_of(network, hidden_of(network, {})[0, -1:])

    expected = operations(random_model(family, 3, 0), [row], 0)
    assert counted(forward) == pytest.approx(expected, rel=1e-12)


def test_a_prefix_is_attended_to_by_every_token_of_every_row():
    model, rows = random_model("llama", 2, 0), [[4] * 3, [5] * 5]
    more = operations(model, rows, 7) - operations(model, rows, 0)
    assert more == 4 * 2 * 16 * 7 * 8  # 4 operations, layers, heads times their size, tokens of the prefix and of rows


@pytest.mark.parametrize(("fused", "apart"), [("gpt2", "opt"), ("gpt_neox", "opt")])
def test_fused_projections_count_as_their_parts(fused, apart):
    one, other = (Sizes.of(random_model(family, 2, 0)) for family in (fused, apart))
    assert (one.tuned, one.lowest) == (other.tuned, other.lowest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_kernels_give_one_product(dtype):
    left, right = torch.randn(5, 7, dtype=dtype), torch.randn(3, 7, dtype=dtype)
    kernels = kernels_of(torch.device("cpu"), dtype)
    assert len(kernels) >= 2 or dtype != torch.float32
    for multiply in kernels.values():
        torch.testing.assert_close(torch.as_tensor(multiply(left, right)), left @ right.T)


def test_the_head_is_among_the_products_where_it_is_asked_for():
    model = random_model("opt", 1, 0)
    for head in (0, 4, 40):
        rate = machine_rate(model, 4, head=head)
        assert rate.peak.keys() == rate.products.keys() == kernels_of(model.device, model.dtype).keys()
        assert min(*rate.peak.values(), *rate.products.values()) > 0


def test_the_fraction_is_that_of_the_best_kernel():
    slow, fast = (
        MachineRate({"A": 10.0, "B": 30.0}, {"A": 8.0, "B": 20.0}),
        MachineRate({"A": 20.0, "B": 50.0}, {"A": 8.0, "B": 20.0}),
    )
    rounds = Rounds([2.0], [1.0])
    rounds.count(10.0, slow, fast)
    outcome = rounds.outcome("a case", "a query")
    assert (outcome.best_product, dict(outcome.rates), outcome.rate) == ("B", {"A": 15.0, "B": 40.0}, 10.0)
    assert (outcome.fraction_of_peak, outcome.fraction_of_products) == (0.25, 0.5)
