"""A model compared with itself: its packed pass behind a prefix, and its network's own attention on plain prompts."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from icl_claims.errors import ModelError
from icl_claims.models.blocks import TRIED, at_least_single, outputs_at
from icl_claims.models.inspection import attending_as, refused_in_words

if TYPE_CHECKING:
    from icl_claims.models.language_model import LanguageModel

LIMIT = 1e-3
"""Largest deviation that is accepted, in standard deviations of the numbers compared."""
TIMES_ITS_OWN_ERROR = 4
"""In half precision it may be larger by so many times the error of the network's own attention there."""
PREFIX, ROWS = 13, (5, 9, 2)
"""Tokens of the prefix, and of the rows of unequal length behind it, where the context has room for them."""

Plain = dict[str, Tensor]
"""What plain prompts give: `logits` [rows, vocabulary] and `attention outputs` [layers, rows, hidden]."""


def check_against_itself(model: "LanguageModel") -> None:
    """Compare logits, attention outputs and the read-out of the last block with the network's own eager attention.

    Raises:
        ModelError: they differ by more than rounding; the error gives the numbers.
    """
    prefix, rows = _prompts(model)
    with refused_in_words(model.network), torch.inference_mode():
        seen = model.answer(rows, model.read_prefix(prefix), answer_at=-1, probe_at=-1, blocks=True)
        ours = {"logits": seen.logits, "attention outputs": seen.attention_outputs}
        ours["read-out of the last block"] = model.blocks.read(seen.block_outputs[-1])
    prompts = [[*prefix, *row] for row in rows]
    with attending_as(model.network, "eager"), torch.inference_mode(), refused_in_words(model.network):
        plain = _plain(model, prompts)
        if torch.finfo(model.dtype).bits < 32:
            with _in_single_precision(model.network):
                exact = _plain(model, prompts)
        else:
            exact = plain
    for what, numbers in ours.items():
        own = what if what in plain else "logits"
        limit = LIMIT + TIMES_ITS_OWN_ERROR * _deviation(plain[own], exact[own])
        if not (deviation := _deviation(numbers, exact[own])) <= limit:
            raise ModelError(
                f"{type(model.network).__name__} does more than causal attention between tokens: "
                f"{what} differ when queries are packed behind a prefix",
                expected=f"at most {limit:.2g} standard deviations from its own eager attention",
                got=f"{deviation:.2g}",
                todo=TRIED,
            )


def _prompts(model: "LanguageModel") -> tuple[list[int], list[list[int]]]:
    """A prefix that opens with the beginning of text, and rows; ids all over the vocabulary, none of them special."""
    network: Any = model.network
    vocabulary = network.get_input_embeddings().weight.shape[0]
    special = {model.tokens.bos, model.tokens.separator, getattr(network.config, "pad_token_id", None)}
    ids = (at * 7919 % vocabulary for at in range(1, 10**6))
    usual = (index for index in ids if index not in special and index > 2)
    lengths = [min(length, model.context_length // 2) for length in ROWS]
    room = min(model.context_length - max(lengths), PREFIX)
    prefix = [model.tokens.bos, *(next(usual) for _ in range(room - 1))]
    return prefix, [[next(usual) for _ in range(length)] for length in lengths]


def _plain(model: "LanguageModel", prompts: Sequence[Sequence[int]]) -> Plain:
    """Each prompt by itself, in the network's own way: no packing, no prefix, no positions given."""
    logits, outputs = [], []
    for prompt in prompts:
        with outputs_at(model.attention_modules, -1) as of_prompt:
            answer: Any = model.network(torch.tensor([prompt], device=model.device), use_cache=False, logits_to_keep=1)
        logits.append(at_least_single(answer.logits[0, -1]))
        outputs.append(torch.stack([output.to(logits[-1].device) for output in of_prompt]))
    return {"logits": torch.stack(logits), "attention outputs": torch.stack(outputs, 1)}


def _deviation(numbers: Tensor, exact: Tensor) -> float:
    """Largest difference in standard deviations; of numbers by layer, that of the worst layer."""
    exact = exact.float().flatten(-2)
    difference = (numbers.float().flatten(-2) - exact).abs().amax(-1)
    return float((difference / exact.std(-1).clamp(min=torch.finfo(torch.float32).tiny)).max())


@contextmanager
def _in_single_precision(network: nn.Module) -> Iterator[None]:
    """While open, every module computes in single precision; its own parameters are converted while it runs."""

    def widen(module: nn.Module, args: Any, kwargs: Any) -> Any:
        narrow = {name: p for name, p in module._parameters.items() if p is not None and p.is_floating_point()}
        kept.setdefault(module, []).append(narrow)
        for name, parameter in narrow.items():
            module._parameters[name] = nn.Parameter(parameter.float(), requires_grad=False)

    def restore(module: nn.Module, _args: Any, _output: Any) -> None:
        module._parameters.update(kept[module].pop())

    kept: dict[nn.Module, list[dict[str, nn.Parameter]]] = {}
    with ExitStack() as hooks:
        for module in network.modules():
            if module._parameters:
                hooks.enter_context(module.register_forward_pre_hook(widen, with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(restore, always_call=True))
        yield
