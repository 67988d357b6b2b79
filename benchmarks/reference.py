"""The baseline: the authors' procedure, plainly, with the same weights and transformers' own attention.

Every query is one full prompt; every method is a pass over all queries of its own; what a pass saw at the last position
is written as JSON Lines, and the metrics are computed from the files when all passes are done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from icl_claims.models.language_model import LanguageModel, Weights
from icl_claims.tasks.prompts import Queries

Passes = Literal["three for each", "shared"]
"""Zero-shot, in-context and tuned for each method, as in the authors' experiment; or the first two once for all."""

NAME = "benchmark_reference"
_scores: list[Tensor] = []


def _attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
    """Transformers' own scaled_dot_product_attention, which records the scores of the last position, too."""
    scale = options.get("scaling") or query.shape[-1] ** -0.5
    keys = key[0].repeat_interleave(query.shape[1] // key.shape[1], 0)
    _scores.append(scale * torch.einsum("hd,htd->ht", query[0, :, -1], keys))
    return sdpa_attention_forward(module, query, key, value, mask, **options)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)


@dataclass(frozen=True, eq=False)
class Seen:
    """Activations of one prompt at its last position, in the layout of the files."""

    log_probabilities: np.ndarray  # labels
    attention_outputs: np.ndarray  # layers hidden
    scores: np.ndarray  # layers heads width


class FullPrompts:
    """A copy of a model in transformers' own hands, which reads a full prompt for every query.

    Args:
        model: whose weights are copied.
        every_position: whether log-probabilities are made at every position and once for every label, as in the
            authors' code, or at the answer's position alone.
    """

    def __init__(self, model: LanguageModel, *, every_position: bool = False) -> None:
        network: Any = model.network
        self.network = deepcopy(network)
        self.network.set_attn_implementation(NAME)
        self.every_position = every_position
        names = {id(module): name for name, module in model.network.named_modules()}
        self._attention: list[Any] = [
            self.network.get_submodule(names[id(module)]) for module in model.attention_modules
        ]
        self._pretrained = {name: value.clone() for name, value in model.tuned_values().items()}

    def load(self, weights: Weights) -> None:
        """Put tuned values in the place of the pretrained ones; none puts these back."""
        parameters = dict(self.network.named_parameters())
        with torch.no_grad():
            for name, value in {**self._pretrained, **weights}.items():
                parameters[name].copy_(value)

    def see(self, context: Sequence[int], row: Sequence[int], queries: Queries) -> Seen:
        """Run one prompt: a context and a query."""
        outputs: list[Tensor] = []
        hooks = [
            module.register_forward_hook(lambda _m, _i, output: outputs.append(output[0][0, -1]))
            for module in self._attention
        ]
        _scores.clear()
        with torch.inference_mode():
            log_probabilities = self._score([*context, *row], queries)
        for hook in hooks:
            hook.remove()
        own = torch.stack(_scores)[:, :, -len(row) :]
        return Seen(*(x.double().cpu().numpy() for x in (log_probabilities, torch.stack(outputs), own)))

    def _score(self, ids: Sequence[int], queries: Queries) -> Tensor:
        labels, device = list(queries.label_ids), self.network.device
        if not self.every_position:
            keep = torch.tensor([len(ids) + queries.answer_at], device=device)
            logits = self.network(torch.tensor([ids], device=device), use_cache=False, logits_to_keep=keep).logits[0, 0]
            return torch.as_tensor(logits.float().log_softmax(-1)[labels])
        logits = self.network(torch.tensor([ids], device=device), use_cache=False).logits
        of_every_label = logits.expand(len(labels), -1, -1).float().log_softmax(-1)
        return torch.stack([of_every_label[i, queries.answer_at, label] for i, label in enumerate(labels)])

    def answer(self, context: Sequence[int], queries: Queries, file: Path) -> None:
        """One pass: every query after a context, a line for each."""
        with file.open("w", encoding="utf-8") as lines:
            for row in queries.rows:
                seen = self.see(context, row, queries)
                lines.write(json.dumps({name: value.tolist() for name, value in vars(seen).items()}) + "\n")


@dataclass(frozen=True, eq=False)
class Compared:
    """A method's predictions and its similarities with in-context learning, by query and layer."""

    predicted: np.ndarray  # queries
    log_probabilities: np.ndarray  # queries labels
    sim_aou: np.ndarray  # queries layers
    sim_am: np.ndarray  # queries layers


def trial(
    prompts: FullPrompts,
    context: Sequence[int],
    queries: Queries,
    tuned: Mapping[str, Weights],
    folder: Path,
    passes: Passes = "three for each",
) -> dict[str, Compared]:
    """The authors' experiment for every tuned method: three passes, then the metrics from what they wrote.

    Args:
        prompts: the model.
        context: what in-context learning reads.
        queries: what is asked.
        tuned: weights by method.
        folder: folder of the files.
        passes: which of them are made again.
    """
    compared: dict[str, Compared] = {}
    files = [folder / f"{name}.jsonl" for name in ("zero_shot", "in_context", "tuned")]
    for method, weights in tuned.items():
        for file, before, values in zip(files, (context[:1], context, context[:1]), ({}, {}, weights), strict=True):
            if passes == "three for each" or not compared or values:
                prompts.load(values)
                prompts.answer(before, queries, file)
        compared[method] = compare(*(list(read(file)) for file in files))
    prompts.load({})
    return compared


def read(file: Path) -> Iterable[Seen]:
    """The record that a pass wrote."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield Seen(**{name: np.array(value) for name, value in json.loads(line).items()})


def compare(zero_shot: Sequence[Seen], in_context: Sequence[Seen], tuned: Sequence[Seen]) -> Compared:
    """Predictions of a tuned model, SimAOU, and SimAM between it and in-context learning."""
    log_probabilities = np.array([seen.log_probabilities for seen in tuned])
    sim_aou, sim_am = [], []
    for before, shown, after in zip(zero_shot, in_context, tuned, strict=True):
        states = [_normalised(x.attention_outputs) for x in (before, shown, after)]
        sim_aou.append(_cosine(states[1] - states[0], states[2] - states[0]))
        sim_am.append(_cosine(shown.scores, after.scores).mean(-1))
    return Compared(log_probabilities.argmax(-1), log_probabilities, np.array(sim_aou), np.array(sim_am))


def _normalised(states: np.ndarray) -> np.ndarray:
    return np.asarray(states / np.linalg.norm(states, axis=-1, keepdims=True))


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.asarray((one * other).sum(-1) / np.maximum(lengths, 1e-12))
