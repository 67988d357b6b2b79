"""Gradient descent on the K and V projections of a model: losses, gradients and their clipping, steps, divergence."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from icl_claims import errors, tasks
from icl_claims.methods.base import Descending, Known, Learned, Method, diverged, learned_by, rate_of
from icl_claims.models import (
    LanguageModel,
    ReadOut,
    TunedParameter,
    Weights,
    all_finite,
    as_float,
    at_least_single,
    layer_norms,
)
from icl_claims.protocol import ClippedNorm, Loss, Protocol

FLOAT16_LOSS_SCALE = 128.0
"""About what the authors' mixed precision began with: 4, on a loss that is a sum over some 30 tokens."""
LEAST_LOSS_SCALE = 2.0**-24
"""Below it a loss of 1 would be no number of float16 any more."""


def masters(weights: Weights) -> dict[str, Tensor]:
    """What is stepped on: float32 copies of values in half precision, and others as they are."""
    return {name: at_least_single(value) for name, value in weights.items()}


def trainable(weights: Weights) -> dict[str, Tensor]:
    """The same values as leaves of a new graph."""
    return {name: value.detach().requires_grad_() for name, value in weights.items()}


def unscaled(gradients_at: Callable[[float], Iterable[Tensor]], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Gradients of a loss; in float16 by way of a loss so many times as large, so that small ones do not vanish.

    Where one of these is beyond the range of float16, the loss is made half as large, as often as it takes. (The
    authors' code leaves out such a step, and halves the loss of the next.)

    Args:
        gradients_at: gradients of so many times the loss; in float16 it is called again, so the graph must be retained.
        dtype: that of the model.

    Returns:
        Those of the loss itself; NaN or infinity where no scale helps.
    """
    if dtype != torch.float16:
        return tuple(gradients_at(1.0))
    scale = FLOAT16_LOSS_SCALE
    while True:
        gradients = tuple(gradients_at(scale))
        if all(map(all_finite, gradients)) or scale <= LEAST_LOSS_SCALE:
            return tuple(at_least_single(gradient) / scale for gradient in gradients)
        scale /= 2


def gradients_of(loss: Tensor, leaves: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Gradients of a loss, in float16 by way of another one; NaN or infinity where the loss is."""
    scaled = dtype == torch.float16 and all_finite(loss)

    def at(scale: float) -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss * scale, leaves, retain_graph=scaled)

    return unscaled(at, dtype) if scaled else at(1.0)


def sgd_step(
    parameters: Iterable[TunedParameter], weights: Weights, gradients: Iterable[Tensor], learning_rate: float
) -> dict[str, Tensor]:
    """W - learning_rate * gradient, on the entries that hold keys or values."""
    rate = learning_rate if learning_rate <= torch.finfo(torch.float32).max else math.inf
    with torch.no_grad():
        return {
            parameter.name: torch.sub(weights[parameter.name], parameter.only_tuned(gradient), alpha=rate)
            for parameter, gradient in zip(parameters, gradients, strict=True)
        }


def tuned(
    method: Descending,
    model: LanguageModel,
    demonstrations: tasks.Demonstrations,
    weights: Weights,
    losses: Sequence[float],
    norms: Sequence[Mapping[int, float]],
) -> Learned:
    """What a method learned by stepping to these weights, with the loss and each layer's gradient norm at every step.

    Raises:
        DivergenceError: the last step left the numbers.
    """
    rounded = settled(method, model, weights, len(losses))
    opening = model.read_prefix([demonstrations.bos], rounded)
    return Learned(model, opening, rounded, tuple(losses), stacked(norms, model.layers))


def settled(method: Descending, model: LanguageModel, weights: Weights, steps: int) -> dict[str, Tensor]:
    """Where so many steps led, in the dtype of the model.

    Raises:
        DivergenceError: the last step left the numbers.
    """
    rounded = model.as_parameters(weights)
    if not all(all_finite(value) for value in rounded.values()):
        raise _diverged(method, model.dtype, steps - 1)
    return rounded


def stacked(norms: Sequence[Mapping[int, float]], layers: int) -> Float[np.ndarray, "steps layers"]:
    """The norms of every step in the order of the layers."""
    return np.array([[of_step[layer] for layer in range(layers)] for of_step in norms]).reshape(len(norms), layers)


def finite(loss: float, method: Descending, dtype: torch.dtype, step: int) -> float:
    """The loss of a step, counted from 0, if learning in this dtype has not diverged; a high one may come down again.

    Raises:
        DivergenceError: it is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise _diverged(method, dtype, step)
    return loss


def _diverged(method: Descending, dtype: torch.dtype, step: int) -> errors.DivergenceError:
    return diverged(dtype, method.name, f" at step {step + 1}", rate_of(method))


def next_token_losses(
    logits: Float[Tensor, "tokens vocabulary"], ids: Sequence[int]
) -> Float[Tensor, " tokens_after_first"]:
    """Cross-entropy in nats of every token after the first, given those before it."""
    wanted = torch.tensor(list(ids)[1:], device=logits.device)
    return nn.functional.cross_entropy(at_least_single(logits[:-1]), wanted, reduction="none")


def sequence_loss(
    read_out: ReadOut, given: Float[Tensor, "tokens hidden"], ids: Sequence[int], which: Loss
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats over all tokens after the first, or of the last token (the label) alone.

    It is differentiable, once, in `given`: what the head is given of each token.
    """
    counted = list(ids) if which == "all_tokens" else list(ids)[-2:]
    return read_out.losses(given[-len(counted) : -1], counted[1:]).mean()


EPSILON = 1e-6  # as in fairseq, whose factor is min(1, bound / (norm + 1e-6))
NAMES = {"global_l2": "clip", "layer_l2": "clip_layers", "l_inf": "clip_linf", "finetuning": "clip_to_finetuning"}


@dataclass(frozen=True)
class Clipping:
    """How the gradients of a step are clipped, all of them or layer by layer.

    Args:
        at: The bound; None for `finetuning`, and only there.
        norm: The norm that is bound; None for that of the demonstrations' protocol. `finetuning` is the L2 norm of each
            layer's gradients, bound by their mean norm over the steps of standard finetuning.

    Raises:
        UsageError: a bound that is not above 0, or one too many or too few.
    """

    at: float | None = None
    norm: ClippedNorm | Literal["finetuning"] | None = None

    def __post_init__(self) -> None:
        if self.to_finetuning == (self.at is not None) or (self.at is not None and not self.at > 0):
            raise errors.UsageError(
                f"Clipping by {self.norm or 'the norm of the protocol'} makes no sense",
                expected="no bound but finetuning's" if self.to_finetuning else "a bound above 0",
                got=f"at={self.at}",
            )

    @property
    def to_finetuning(self) -> bool:
        """Whether the bounds come from standard finetuning."""
        return self.norm == "finetuning"

    @property
    def by_layer(self) -> bool:
        """Whether each layer is clipped on its own."""
        return self.norm in ("layer_l2", "finetuning")

    @property
    def name(self) -> str:
        """As methods are named after it: `clip_12`, `clip_layers_1`, `clip_linf_0.1`, `clip_to_finetuning`."""
        return NAMES[self.norm or "global_l2"] + ("" if self.at is None else f"_{self.at:g}")

    def under(self, protocol: Protocol) -> "Clipping":
        """The same with the norm that a protocol names, if it has none of its own."""
        return self if self.norm else replace(self, norm=protocol.clip_norm)

    @property
    def title(self) -> str:
        """As methods are called after it in print: `clipped at 12`, `clipped to the norms of finetuning`, ..."""
        if self.at is None:
            return "clipped to the norms of finetuning"
        of_norm = {"layer_l2": " in the L2 norm of each layer", "l_inf": " in the l∞ norm"}.get(self.norm or "", "")
        return f"clipped at {self.at:g}{of_norm}"

    def clip(
        self, parameters: Sequence[TunedParameter], gradients: Sequence[Tensor], finetuned: Learned | None = None
    ) -> tuple[Tensor, ...]:
        """The gradients times min(1, bound / (norm + 1e-6)) of the parameters' layers; bounds may be finetuning's."""
        norms = layer_norms(parameters, gradients)
        if self.norm == "global_l2":
            norms = dict.fromkeys(norms, math.hypot(*norms.values()))
        elif self.norm == "l_inf":
            tuned_entries = (p.only_tuned(g) for p, g in zip(parameters, gradients, strict=True))
            norms = dict.fromkeys(norms, max(as_float(entries.abs().max()) for entries in tuned_entries))
        factors = {layer: min(1.0, self._bound(layer, finetuned) / (norm + EPSILON)) for layer, norm in norms.items()}
        return tuple(g * factors[p.layer] for p, g in zip(parameters, gradients, strict=True))

    def _bound(self, layer: int, finetuned: Learned | None) -> float:
        if self.at is not None:
            return self.at
        if finetuned is None or finetuned.gradient_norms is None:
            raise errors.UsageError(f"Clipping by {self.norm}", expected="what standard finetuning learned", got="none")
        return float(finetuned.gradient_norms[:, layer].mean())


Step = tuple[float, dict[str, Tensor], dict[int, float]]
"""The loss, summed over predictions, the new weights, and the norm of each layer's gradients before clipping."""


@dataclass(frozen=True, eq=False)
class Descent:
    """One step on each demonstration: on which loss, clipped how, and what standard finetuning learned if that bounds.

    A step is taken on all parameters at once (`step`), or on some of them (`moved`).
    """

    method: Descending
    model: LanguageModel
    demonstrations: tasks.Demonstrations
    loss: Loss
    clip: Clipping | None
    finetuned: Learned | None

    @classmethod
    def of(
        cls,
        method: Descending,
        standard: Method,
        model: LanguageModel,
        demonstrations: tasks.Demonstrations,
        known: Known | None,
        loss: Loss | None,
        clip: Clipping | None,
    ) -> "Descent":
        """That of a method, beside standard finetuning; loss and norm are the protocol's where it names none."""
        protocol, finetuned = demonstrations.protocol, None
        if clip is not None and clip.to_finetuning:
            finetuned = learned_by(standard, model, demonstrations, known or {})
        return cls(method, model, demonstrations, loss or protocol.loss, clip and clip.under(protocol), finetuned)

    def learned(self, step: Callable[[Weights, Sequence[int]], Step]) -> Learned:
        """Where the steps lead from the pretrained weights."""
        weights, losses, norms = masters(self.model.tuned_values()), [], []
        for number, sequence in enumerate(self.demonstrations.sequences):
            loss, weights, of_step = step(weights, sequence)
            losses.append(finite(loss, self.method, self.model.dtype, number))
            norms.append(of_step)
        return tuned(self.method, self.model, self.demonstrations, weights, losses, norms)

    def step(self, loss_of: Callable[..., Tensor], weights: Weights, sequence: Sequence[int]) -> Step:
        """A step of all parameters at once on the loss of a model, weights, a sequence, and which tokens count."""
        leaves = trainable(weights)
        loss = loss_of(self.model, leaves, sequence, self.loss)
        gradients = gradients_of(loss, list(leaves.values()), self.model.dtype)
        return as_float(loss), *self.moved(self.model.tuned_parameters, weights, gradients)

    def moved(
        self, parameters: Sequence[TunedParameter], weights: Weights, gradients: Sequence[Tensor]
    ) -> tuple[dict[str, Tensor], dict[int, float]]:
        """The new weights of some parameters, and the norms of their layers' gradients before clipping."""
        norms = layer_norms(parameters, gradients)
        if self.clip is not None:
            gradients = self.clip.clip(parameters, gradients, self.finetuned)
        return sgd_step(parameters, weights, gradients, rate_of(self.method)), norms
