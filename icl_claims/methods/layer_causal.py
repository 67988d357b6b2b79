"""Layer-causal finetuning: each layer learns from its own prediction, blind to the layers above it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from icl_claims import errors, models, protocol, tasks
from icl_claims.methods.base import Known, Learned, Stepping, learned_by, name_of, title_with, weight_changes
from icl_claims.methods.descent import Clipping, Descent, Step, gradients_of, masters, settled, trainable
from icl_claims.methods.finetuning import Finetuning

Update = Literal["concurrent", "sequential"]
"""All layers step at once on the sum of their losses (the authors' code), or one after the other (their words)."""


@dataclass(frozen=True)
class LayerCausal(Stepping):
    """Finetuning in which no layer's gradient reaches another.

    The output of every block goes through the model's final norm and projection head; the cross-entropy of that
    prediction is the block's own loss, and the block's input counts as a constant.

    >>> LayerCausal(clip=Clipping(at=12.0)).name, LayerCausal(update="sequential").title
    ('layer_causal_clip_12', 'sequential layer-causal finetuning')

    Args:
        learning_rate: of every step.
        update: `concurrent`, or `sequential`: a block is updated, then run again with its new weights to feed the next.
        loss: which tokens of a demonstration are learned; None for those of its protocol.
        clip: of every step's gradients; None for no clipping.
        norm_matched: whether in the end the change of each layer is given the length of its change by standard
            finetuning with the same learning rate and loss.

    Raises:
        UsageError: a sequential update is to be clipped by a norm over all layers, whose gradients never are at once.

    Source: "Rethinking ...", section 3.4, figure 2 (sequential); "Understanding ...", section 3.1, figure 1 (summed).
    """

    update: Update = "concurrent"
    loss: protocol.Loss | None = None
    clip: Clipping | None = None
    norm_matched: bool = False
    diagnosed: ClassVar[bool] = True
    definition: ClassVar[str] = (
        "Every layer has a loss of its own: its output goes through the model's final norm and head, and no gradient "
        "passes down to the layers below. Sequential: a layer is updated, then run again to feed the next. Clipped: "
        "the gradient is scaled down to a limit of its norm. Norm-matched: a layer's whole update is scaled to the "
        "size of standard finetuning's."
    )

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip.norm is not None:
            self._check(self.clip)
        word = "layer_causal_sequential" if self.update == "sequential" else "layer_causal"
        name = name_of(word, self.loss, self.clip, *(["norm_matched"] if self.norm_matched else []))
        object.__setattr__(self, "name", name)

    @property
    def title(self) -> str:
        """layer-causal finetuning, sequential layer-causal finetuning, ..."""
        particular = ["sequential" if self.update == "sequential" else "", "norm-matched" if self.norm_matched else ""]
        return title_with(" ".join(filter(None, (*particular, "layer-causal finetuning"))), self.loss, self.clip)

    @property
    def look(self) -> int | None:
        """Its place among the lines of figures; None if it is none of the three that are always drawn."""
        rate = self.learning_rate
        drawn = {LayerCausal(rate): 3, LayerCausal(rate, "sequential"): 5, LayerCausal(rate, norm_matched=True): 6}
        return drawn.get(self)

    def _check(self, clip: Clipping) -> None:
        if self.update == "sequential" and not clip.by_layer:
            raise errors.UsageError(
                "A sequential update has the gradients of one layer at a time",
                expected="clipping by layer",
                got=f"by {clip.norm}",
            )

    def learn(
        self, model: models.LanguageModel, demonstrations: tasks.Demonstrations, known: Known | None = None
    ) -> Learned:
        """Take one step, of all layers, on each demonstration.

        Raises:
            DivergenceError: a loss or a weight is not finite.
            UsageError: the protocol clips a sequential update by a norm over all layers.
        """
        if self.norm_matched:
            return self._learn_norm_matched(model, demonstrations, known or {})
        if self.clip is not None:
            self._check(self.clip.under(demonstrations.protocol))
        standard = Finetuning(self.learning_rate, self.loss)
        descent = Descent.of(self, standard, model, demonstrations, known, self.loss, self.clip)
        step = self._concurrent_step if self.update == "concurrent" else self._sequential_step
        return descent.learned(partial(step, descent))

    def _learn_norm_matched(
        self, model: models.LanguageModel, demonstrations: tasks.Demonstrations, known: Known
    ) -> Learned:
        finetuned = learned_by(Finetuning(self.learning_rate, self.loss), model, demonstrations, known)
        unmatched = learned_by(replace(self, norm_matched=False), model, demonstrations, known)
        weights = with_changes_as_long(model, unmatched.weights, finetuned)
        weights = settled(self, model, weights, len(unmatched.losses))
        return replace(unmatched, weights=weights, prefix=model.read_prefix([demonstrations.bos], weights))

    def _concurrent_step(self, descent: Descent, weights: models.Weights, sequence: Sequence[int]) -> Step:
        return descent.step(lambda *case: torch.stack(block_losses(*case)).sum(), weights, sequence)

    def _sequential_step(self, descent: Descent, weights: models.Weights, sequence: Sequence[int]) -> Step:
        model, leaves, updated, total = descent.model, trainable(weights), dict(weights), 0.0
        norms: dict[int, float] = {}
        by_layer = [[p for p in model.tuned_parameters if p.layer == layer] for layer in range(model.layers)]

        def update_block(layer: int, args: Any, kwargs: Any, output: Any) -> Any:
            nonlocal total
            (loss,) = read_losses(model, [models.hidden_of(output)], sequence, descent.loss)
            gradients = gradients_of(loss, [leaves[p.name] for p in by_layer[layer]], model.dtype)
            total += models.as_float(loss)
            own, of_layer = descent.moved(by_layer[layer], updated, gradients)
            norms.update(of_layer)
            updated.update(own)
            with torch.no_grad():
                return model.blocks.run(layer, model.as_parameters(own), args, kwargs)

        with model.blocks.around(before=detached, after=update_block):
            model.head_input(sequence, leaves)
        return total, updated, norms


def with_changes_as_long(model: models.LanguageModel, weights: models.Weights, finetuned: Learned) -> dict[str, Tensor]:
    """Weights whose change has, in every layer, the direction it had and the length of finetuning's.

    Returns:
        The new weights; those of a layer that did not change stay.
    """
    changes, others = weight_changes(model, weights), weight_changes(model, finetuned.weights)
    own, wanted = (models.layer_norms(model.tuned_parameters, of.values()) for of in (changes, others))
    before = masters(model.tuned_values())
    return {
        p.name: before[p.name] + changes[p.name] * (wanted[p.layer] / own[p.layer] if own[p.layer] else 1.0)
        for p in model.tuned_parameters
    }


def block_losses(
    model: models.LanguageModel, weights: models.Weights, sequence: Sequence[int], loss: protocol.Loss = "all_tokens"
) -> list[Tensor]:
    """The loss of every block's own prediction, lowest first, each with a graph that ends at the block's input.

    Returns:
        One scalar a block, in nats per token, differentiable in the block's own entries of `weights` only.

    Source: "Understanding In-Context Learning ... Revisited", section 3.1 and figure 1.
    """
    outputs: list[Tensor] = []

    def keep(_layer: int, _args: Any, _kwargs: Any, output: Any) -> None:
        outputs.append(models.hidden_of(output))

    with model.blocks.around(before=detached, after=keep):
        model.head_input(sequence, weights)
    return list(read_losses(model, outputs, sequence, loss))


def detached(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """What a block is called with, its input a constant."""
    return tuple(a.detach() if isinstance(a, Tensor) else a for a in args), {
        name: value.detach() if name == "hidden_states" else value for name, value in kwargs.items()
    }


def read_losses(
    model: models.LanguageModel, outputs: Sequence[Tensor], sequence: Sequence[int], loss: protocol.Loss
) -> Sequence[Tensor]:
    """The losses of what final norm and head read from the outputs [1, tokens, hidden] of some blocks."""
    counted = list(sequence) if loss == "all_tokens" else list(sequence)[-2:]
    states = torch.cat([hidden[0, -len(counted) : -1].to(model.head_device) for hidden in outputs])
    losses = model.read_out.losses(model.blocks.before_head(states), counted[1:] * len(outputs))
    return losses.view(len(outputs), -1).mean(1).unbind()
