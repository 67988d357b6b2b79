"""What blocks predict: losses and log-probabilities of words, from logits that are never held for a whole vocabulary.

A part of the vocabulary at a time is multiplied with the states that the head is given, and at once summed up: the
logits of a part stay in the processor's cache, and the head's weights are fetched from memory once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from icl_claims.errors import ModelError
from icl_claims.models.blocks import TRIED, Blocks, as_float, at_least_single, has_values
from icl_claims.models.products import fast_products

LOGITS_AT_ONCE = 2**21
"""Logits of a part of the vocabulary: few enough for a cache of megabytes."""
LEAST_WORDS, MOST_ROWS = 2048, 2048
"""Words of a part at least, and states read at once at most: the products should not become thin."""
ROUNDINGS, LARGEST = 32, 0.02
"""Largest difference of logits that are made in two ways, relative to the largest: so many roundings, or this share."""

IN_FLOAT16 = 16.0
"""What a row's gradients in logits of float16 are made to sum to: few vanish, and the weights' sum is in its range."""

Said = tuple[Float[Tensor, "rows words"], Float[Tensor, "rows hidden"] | None]
"""Log-probabilities of words, and the gradient of the first one's negative in what the head is given."""


@dataclass(frozen=True, eq=False)
class ReadOut:
    """The head of a network, with whatever bends its logits afterwards.

    Args:
        words: size of the vocabulary.
        in_parts: whether a part of the words can be read by itself: the head is linear, and what comes after it treats
            each logit alone.
        linear: whether nothing comes after the head, so that logits are linear in what it is given.
    """

    blocks: Blocks
    words: int
    in_parts: bool
    linear: bool

    @classmethod
    def of(cls, blocks: Blocks) -> "ReadOut":
        """The read-out of a network, tried out on a few states.

        Raises:
            ModelError: its logits come from elsewhere than from the module that runs last.
        """
        with torch.inference_mode():
            shape, weight = (3, blocks.hidden), next(blocks.head.parameters())
            states = torch.cos(torch.arange(3 * blocks.hidden, device=weight.device)).view(shape).to(weight.dtype)
            given, plainly = blocks.before_head(states), blocks.read(states)
            whole = blocks.after_head(blocks.head(given))
            if _apart(plainly, whole) > _limit(plainly):
                raise ModelError(
                    f"{type(blocks.network).__name__} makes its logits in a way that is not known",
                    expected=f"those of {blocks.head_name}, which runs last, and what is made of them",
                    got=f"others, {_apart(plainly, whole):.2g} apart",
                    todo=TRIED,
                )
            whole_only = cls(blocks, whole.shape[-1], in_parts=False, linear=False)
            if not isinstance(blocks.head, nn.Linear):
                return whole_only
            parted = cls(blocks, whole.shape[-1], in_parts=True, linear=True)
            part = slice(parted.words // 3, parted.words)
            plain = parted._part(given, part)
            bent = blocks.after_head(plain)
            if _apart(bent, whole[..., part]) > _limit(whole):
                return whole_only
            return cls(blocks, parted.words, in_parts=True, linear=has_values(bent) and bool((bent == plain).all()))

    def log_probabilities(
        self, given: Float[Tensor, "rows hidden"], words: Sequence[int]
    ) -> Float[Tensor, "rows words"]:
        """Log-probabilities of a few words over the whole vocabulary, in nats; not differentiable."""
        with torch.no_grad():
            wanted = torch.tensor(list(words), device=given.device).expand(len(given), -1)
            return self._read(given, wanted, gradients=False)[0]

    def losses(self, given: Float[Tensor, "rows hidden"], wanted: Sequence[int]) -> Float[Tensor, " rows"]:
        """The negative log-probability of one word for each state that the head is given, in nats.

        Differentiable once, in `given` alone: its gradient is made in the same reading of the head.
        """
        losses: Callable[..., Tensor] = _Losses.apply
        return losses(given, self, torch.tensor(list(wanted), device=given.device)[:, None])

    def _read(self, given: Tensor, wanted: Tensor, *, gradients: bool) -> Said:
        rows = MOST_ROWS if self.in_parts else max(1, 8 * LOGITS_AT_ONCE // self.words)
        with fast_products(given.device, given.dtype):
            parts = zip(torch.split(given, rows), torch.split(wanted, rows), strict=True)
            found = [self._read_rows(some, words, gradients) for some, words in parts]
        slopes = [slope for _, slope in found if slope is not None]
        return torch.cat([said for said, _ in found]), torch.cat(slopes) if slopes else None

    def _read_rows(self, given: Tensor, wanted: Tensor, gradients: bool) -> Said:
        precise = torch.promote_types(given.dtype, torch.float32)
        top = given.new_full((len(given), 1), torch.finfo(precise).min, dtype=precise)
        mass, others, said = torch.zeros_like(top), torch.zeros_like(top), given.new_zeros(wanted.shape, dtype=precise)
        slope = torch.zeros_like(given, dtype=precise) if gradients else None
        at_once = max(LEAST_WORDS, LOGITS_AT_ONCE // len(given)) if self.in_parts else self.words
        for first in range(0, self.words, at_once):
            with torch.set_grad_enabled(gradients and not self.linear):
                leaf = given.detach().requires_grad_(gradients and not self.linear)
                part = slice(first, min(first + at_once, self.words))
                logits = self._logits(leaf, part)
            share = at_least_single(logits.detach())
            places = (wanted - first).clamp(0, share.shape[-1] - 1)
            inside = places == wanted - first
            said = torch.where(inside, share.gather(-1, places), said)
            top, before = torch.maximum(top, share.amax(-1, keepdim=True)), top
            share = share.sub(top).exp_()
            kept = (before - top).exp_()
            mass = mass * kept + share.sum(-1, keepdim=True)
            if slope is not None:  # without the wanted word, so that no difference of nearly equal numbers is taken
                share.scatter_(-1, places, share.gather(-1, places).masked_fill(inside, 0.0))
                others = others * kept + share.sum(-1, keepdim=True)
                slope = slope * kept + self._back(logits, leaf, share, part)
        if slope is not None:
            slope = (slope - others * self._slope_of(given, wanted)) / mass
        return said - (top + mass.log()), slope

    def _back(self, logits: Tensor, given: Tensor, of_logits: Tensor, part: slice) -> Tensor:
        """What a gradient in the logits of a part is in what the head is given."""
        unit: Tensor | None = None
        if logits.dtype == torch.float16:
            unit = of_logits.sum(-1, keepdim=True).clamp(min=1e-30) / IN_FLOAT16
            of_logits = of_logits / unit
        if self.linear:
            head: Any = self.blocks.head
            gradient = nn.functional.linear(of_logits.to(logits.dtype), head.weight[part].t())
        else:
            (gradient,) = torch.autograd.grad(logits, given, of_logits.to(logits.dtype))
        return at_least_single(gradient) if unit is None else at_least_single(gradient) * unit

    def _slope_of(self, given: Tensor, wanted: Tensor) -> Tensor:
        """The gradient of the logit of each row's wanted word in what the head is given."""
        head: Any = self.blocks.head
        if self.linear:
            return at_least_single(head.weight[wanted[:, 0]])
        with torch.enable_grad():
            leaf = given.detach().requires_grad_()
            if self.in_parts:
                logits = (leaf * head.weight[wanted[:, 0]]).sum(-1, keepdim=True)
                logits = self.blocks.after_head(logits if head.bias is None else logits + head.bias[wanted])
            else:
                logits = self._logits(leaf, slice(0, self.words)).gather(-1, wanted)
            (gradient,) = torch.autograd.grad(logits, leaf, torch.ones_like(logits))
        return at_least_single(gradient)

    def _logits(self, given: Tensor, part: slice) -> Tensor:
        if self.linear:
            return self._part(given, part)
        return self.blocks.after_head(self._part(given, part) if self.in_parts else self.blocks.head(given))

    def _part(self, given: Tensor, part: slice) -> Tensor:
        head: Any = self.blocks.head
        return nn.functional.linear(given, head.weight[part], None if head.bias is None else head.bias[part])


def _apart(one: Tensor, other: Tensor) -> float:
    return as_float((one - other).abs().max())


def _limit(logits: Tensor) -> float:
    return as_float(logits.abs().max()) * min(ROUNDINGS * torch.finfo(logits.dtype).eps, LARGEST)


class _Losses(torch.autograd.Function):
    """Keeps the gradient in what the head is given, which is all that the head has to tell, instead of its logits."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, read_out: ReadOut, wanted: Tensor) -> Tensor:
        said, slopes = read_out._read(given, wanted, gradients=ctx.needs_input_grad[0])
        if slopes is not None:
            ctx.save_for_backward(slopes)
            ctx.dtype = given.dtype
        return -said[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (gradient * of_losses.to(gradient)[:, None]).to(ctx.dtype), None, None
