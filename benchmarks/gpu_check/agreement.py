"""Our numbers on the device against those of the CPU, on a model that a CPU can answer with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.dense import Shape, as_model, dense_network
from benchmarks.gpu_check.finding import Asked, Finding
from benchmarks.outcome import Say
from benchmarks.setting import Setting
from icl_claims.experiments.result import Entry
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.methods.descent import gradients_of, masters, next_token_losses, trainable
from icl_claims.methods.layer_causal import block_losses
from icl_claims.models.language_model import LanguageModel

CPU = torch.device("cpu")
RATE = 0.3  # as much as moves the model by more than rounding
ROUNDINGS = {
    "logits": (8, 32),
    "attention outputs": (8, 32),
    "gradients by finetuning": (16, 512),
    "gradients by layer-causal finetuning": (16, 512),
    "SimAOU by finetuning": (4, 64),
    "SimAOU by layer-causal finetuning": (4, 64),
}
"""How far numbers may lie apart: so many roundings of their dtype, and so many of float32, in which sums are made.

About ten times what they do on a CPU: there, half precision lies 0.5 to 2 of its roundings from float32, and float32
lies 3 (gradients 10 to 40) of its own from float64, with the smaller model.
"""
METHODS = {"finetuning": Finetuning(RATE), "layer-causal finetuning": LayerCausal(RATE)}

Numbers = Mapping[str, Tensor]
"""By name [group, numbers]: a group is a layer, a tuned matrix, or everything.

The gradient of a bias of keys is no more than rounding: softmax takes no notice of it.
"""


def agreement(asked: Asked, say: Say) -> Iterator[Finding]:
    """In every dtype: the device in it, and the CPU in single precision with the same rounded weights."""
    network = dense_network(asked.smaller, asked.seed, CPU, torch.float32)
    for dtype in asked.dtypes:
        name = str(dtype).removeprefix("torch.")
        rounded = copy.deepcopy(network).to(dtype)
        say(f"{name}: on the CPU, in float32")
        exact = numbers(made(copy.deepcopy(rounded).float(), asked.smaller, asked.seed), asked)
        say(f"{name}: on {asked.device}")
        seen = numbers(made(rounded.to(asked.device), asked.smaller, asked.seed), asked)
        yield Finding.judged(f"numbers in {name}", differences(seen, exact), limits_in(dtype))


def limits_in(dtype: torch.dtype) -> dict[str, float]:
    """How far numbers in a dtype may lie apart."""
    own, single = torch.finfo(dtype).eps, torch.finfo(torch.float32).eps
    return {what: of_own * own + of_single * single for what, (of_own, of_single) in ROUNDINGS.items()}


def made(network: Any, shape: Shape, seed: int) -> LanguageModel:
    """The model of a network, which passes the check of every model that is loaded."""
    return as_model(network, shape, seed)


def numbers(model: LanguageModel, asked: Asked) -> Numbers:
    """Logits and attention outputs of queries in context, gradients of keys and values, and SimAOU by layer."""
    setting = Setting(model, asked.effort)
    shown, queries = setting.demonstrations(asked.effort.context), setting.queries(asked.effort.queries)
    prefix = model.read_prefix(shown.context)
    seen = model.answer(queries.rows, prefix, answer_at=queries.answer_at, probe_at=queries.probe_at)
    sequence = shown.sequences[0]
    found = {"logits": [seen.logits], "attention outputs": list(seen.attention_outputs)}
    leaves = trainable(masters(model.tuned_values()))
    standard = next_token_losses(model.sequence_logits(sequence, leaves), sequence).mean()
    by_layer = torch.stack(block_losses(model, leaves, sequence)).sum()
    for name, loss in zip(METHODS, (standard, by_layer), strict=True):
        gradients = gradients_of(loss, list(leaves.values()), model.dtype)
        found[f"gradients by {name}"] = [gradient for gradient in gradients if gradient.dim() == 2]
    for name, values in _similarities(setting).items():
        found[f"SimAOU by {name}"] = [values]
    return {what: _groups(values) for what, values in found.items()}


def _groups(values: list[Tensor]) -> Tensor:
    flat = [value.detach().float().cpu().flatten() for value in values]
    return torch.nn.utils.rnn.pad_sequence(flat, batch_first=True)


def _similarities(setting: Setting) -> dict[str, Tensor]:
    size, methods = setting.effort.small_trial, tuple(METHODS.values())
    how = {"k": size.demonstrations, "seed": 1, "queries": size.queries, "diagnostics": False}
    result = run_trial(TrialSpec.of(setting.model, setting.data, methods, **how), setting.model, setting.data)
    found = {name: result.by_layer[Entry("sim_aou", method.name)] for name, method in METHODS.items()}
    return {name: torch.from_numpy(np.asarray(values)) for name, values in found.items()}


def differences(seen: Numbers, exact: Numbers) -> dict[str, float]:
    """How far numbers lie apart: lengths of differences relative to those of the exact numbers, in the worst group.

    Of similarities it is the root mean square of differences, over those that both sides have.
    """
    apart: dict[str, float] = {}
    for what, wanted in exact.items():
        difference = seen[what] - wanted
        if what.startswith("SimAOU"):
            apart[what] = float(difference[difference.isfinite()].square().mean().sqrt())
        else:
            apart[what] = float((difference.norm(dim=1) / wanted.norm(dim=1)).max())
    return apart
