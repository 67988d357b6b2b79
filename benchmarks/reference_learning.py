"""The baseline of learning: every parameter gets a gradient, an optimiser steps on the K and V projections alone."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp
from torch.nn.functional import cross_entropy

from icl_claims.models.blocks import hidden_of
from icl_claims.models.language_model import LanguageModel


class PlainLearning:
    """Learns as the authors' code did, on a copy of a model in transformers' own hands.

    Args:
        model: whose weights are copied; of a family whose K and V projections stand alone.
    """

    def __init__(self, model: LanguageModel) -> None:
        network: Any = model.network
        self.network = deepcopy(network).requires_grad_(True)
        self.network.set_attn_implementation("sdpa")
        self._pretrained = {name: value.clone() for name, value in model.tuned_values().items()}
        blocks = model.blocks
        names = {module: name for name, module in model.network.named_modules()}
        self._blocks: list[Any] = [self.network.get_submodule(name) for name in blocks.names]
        self._norm, self._head = (self.network.get_submodule(names[module]) for module in blocks.after)

    def finetune(self, sequences: Sequence[Sequence[int]], learning_rate: float) -> dict[str, Tensor]:
        """One step on the language-modelling loss of each sequence; the tuned values, by name."""
        return self._learn(sequences, learning_rate, self._loss)

    def learn_by_layer(self, sequences: Sequence[Sequence[int]], learning_rate: float) -> dict[str, Tensor]:
        """One step on the sum of all blocks' own losses for each sequence; the tuned values, by name."""
        states: list[Tensor] = []
        hooks = [
            hook
            for block in self._blocks
            for hook in (
                block.register_forward_pre_hook(_without_history, with_kwargs=True),
                block.register_forward_hook(lambda _m, _i, output: states.append(hidden_of(output))),
            )
        ]

        def loss(ids: Tensor) -> Tensor:
            states.clear()
            self.network(ids, use_cache=False, logits_to_keep=1)
            return torch.stack([cross_entropy(self._head(self._norm(h))[0, :-1], ids[0, 1:]) for h in states]).sum()

        try:
            return self._learn(sequences, learning_rate, loss)
        finally:
            for hook in hooks:
                hook.remove()

    def learn_linearised(self, sequences: Sequence[Sequence[int]], learning_rate: float) -> dict[str, Tensor]:
        """One step of the first-order expansion on the loss of each sequence; the pretrained values and all changes.

        Source: the expansion as torch.func has it, differentiated in its tangents.
        """
        changes = {name: torch.zeros_like(value) for name, value in self._pretrained.items()}
        self.network.set_attn_implementation("eager")  # which has a forward derivative

        def loss(tangents: dict[str, Tensor], ids: Tensor) -> Tensor:
            def logits(weights: dict[str, Tensor]) -> Tensor:
                return functional_call(self.network, weights, (ids,), {"use_cache": False}).logits[0, :-1]

            value, change = jvp(logits, (self._pretrained,), (tangents,))
            return cross_entropy(value + change, ids[0, 1:])

        try:
            for sequence in sequences:
                gradients = grad(loss)(changes, torch.tensor([sequence], device=self.network.device))
                changes = {name: change - learning_rate * gradients[name].detach() for name, change in changes.items()}
        finally:
            self.network.set_attn_implementation("sdpa")
        return {name: value + changes[name] for name, value in self._pretrained.items()}

    def _loss(self, ids: Tensor) -> Tensor:
        return cross_entropy(self.network(ids, use_cache=False).logits[0, :-1], ids[0, 1:])

    def _learn(self, sequences: Sequence[Sequence[int]], learning_rate: float, loss: Any) -> dict[str, Tensor]:
        parameters = dict(self.network.named_parameters())
        with torch.no_grad():
            for name, value in self._pretrained.items():
                parameters[name].copy_(value)
        optimiser = torch.optim.SGD([parameters[name] for name in self._pretrained], lr=learning_rate)
        for sequence in sequences:
            self.network.zero_grad()
            loss(torch.tensor([sequence], device=self.network.device)).backward()
            optimiser.step()
        return {name: parameters[name].detach().clone() for name in self._pretrained}


def _without_history(_module: Any, args: Any, kwargs: Any) -> Any:
    kwargs = {name: value.detach() if name == "hidden_states" else value for name, value in kwargs.items()}
    return tuple(x.detach() if isinstance(x, Tensor) else x for x in args), kwargs
