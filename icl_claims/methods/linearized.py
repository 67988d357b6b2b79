"""Linearised finetuning: the model's first-order expansion in its K and V projections learns, and answers.

f_lin(d) = f(theta_0) + J(theta_0) d, where f is what the model puts out and d the change of its K and V projections.
J is never formed: forward-mode differentiation gives J d in the same pass that gives f(theta_0).
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from icl_claims import errors, metrics, protocol, tasks
from icl_claims.methods.base import Known, Learned, Stepping, TrainingTokens, diverged, name_of, rate_of, title_with
from icl_claims.methods.descent import (
    finite,
    gradients_of,
    masters,
    next_token_losses,
    sequence_loss,
    settled,
    sgd_step,
    stacked,
    trainable,
    unscaled,
)
from icl_claims.models import LanguageModel, Prefix, Weights, all_finite, as_float, at_least_single, layer_norms


@dataclass(frozen=True)
class Linearized(Stepping):
    """Finetuning of the first-order expansion: SGD, one demonstration a step, in order.

    >>> Linearized().name, Linearized().title
    ('linearized', 'linearised finetuning')

    Args:
        learning_rate: of every step.
        loss: cross-entropy, mean over these tokens of the demonstration; None for those of its protocol.

    Source: "Rethinking ...", section 2.3, equation 5; SGD on the offsets d, as the authors' code has it.
    """

    loss: protocol.Loss | None = None
    definition: ClassVar[str] = "The model's first-order expansion around its own weights is trained and asked."
    formula: ClassVar[str] = (
        r"f_\text{lin}(x;\, \theta) = f(x;\, \theta_0) + "
        r"(\theta - \theta_0)^\text{T}\, \nabla_{\!\theta} f(x;\, \theta_0)"
    )
    source: ClassVar[str] = "Rethinking, equation 5"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of("linearized", self.loss))

    @property
    def title(self) -> str:
        """Linearised finetuning, ..."""
        return title_with("linearised finetuning", self.loss)

    @property
    def look(self) -> int | None:
        """Its place among the lines of figures; None where something about it is particular."""
        return 4 if self.variant_of is None else None

    def learn(self, model: LanguageModel, demonstrations: tasks.Demonstrations, known: Known | None = None) -> Learned:
        """Take one step on each demonstration.

        Raises:
            DivergenceError: a loss or a weight is not finite.
        """
        start = masters(model.tuned_values())
        changes = {name: torch.zeros_like(value) for name, value in start.items()}
        losses, norms = [], []
        for step, sequence in enumerate(demonstrations.sequences):
            loss, gradients = self._gradients(
                model, start, changes, sequence, self.loss or demonstrations.protocol.loss
            )
            losses.append(finite(loss, self, model.dtype, step))
            norms.append(layer_norms(model.tuned_parameters, gradients))
            changes = sgd_step(model.tuned_parameters, changes, gradients, rate_of(self))
        weights = settled(self, model, {name: start[name] + change for name, change in changes.items()}, len(losses))
        with torch.no_grad(), dual_numbers():
            opening = model.prefix_of([demonstrations.bos], with_tangents(start, changes))
            keys, values = (
                tuple(zip(*map(parts, of_layers), strict=True)) for of_layers in (opening.keys, opening.values)
            )
        return LearnedLinearly(
            model,
            Prefix(keys[0], values[0], opening.tokens),
            weights,
            tuple(losses),
            stacked(norms, model.layers),
            changes=changes,
            prefix_changes=Prefix(keys[1], values[1], opening.tokens),
        )

    def _gradients(
        self, model: LanguageModel, start: Weights, changes: Weights, sequence: Sequence[int], counted: protocol.Loss
    ) -> tuple[float, tuple[Tensor, ...]]:
        """The loss at f_lin, and J^T times its gradient there: both from one pass through the model."""
        leaves = trainable(start)
        linear = model.read_out.linear  # then the expansion of logits is the head of the expansion of its input
        with dual_numbers():
            put_out = model.head_input if linear else model.sequence_logits
            at_start, moved = parts(put_out(sequence, with_tangents(leaves, changes)))
        leaf = (at_start + moved).detach().requires_grad_()
        if linear:
            loss = sequence_loss(model.read_out, leaf, sequence, counted)
        else:
            losses = next_token_losses(leaf, sequence)
            loss = losses.mean() if counted == "all_tokens" else losses[-1]
        (of_leaf,) = gradients_of(loss, [leaf], model.dtype)
        again = model.dtype == torch.float16

        def gradients_at(scale: float) -> Iterable[Tensor]:
            of_start = (of_leaf * scale).to(at_start.dtype)
            return torch.autograd.grad(at_start, list(leaves.values()), of_start, retain_graph=again)

        return as_float(loss), unscaled(gradients_at, model.dtype)


@dataclass(frozen=True, eq=False)
class LearnedLinearly(Learned):
    """A change of weights that is answered with through the first-order expansion.

    The changes are from the pretrained K and V projections; those of the prefix are to first order in them.
    """

    changes: Weights = field(kw_only=True)
    prefix_changes: Prefix = field(kw_only=True)

    def answer(
        self, queries: tasks.Queries, *, lens: bool = False, training: TrainingTokens | None = None
    ) -> metrics.Answer:
        """Answer a batch of queries: log-probabilities of linearised logits, linearised outputs and scores.

        Raises:
            DivergenceError: the expansion is not finite.
            ModelError: logits are not finite as pretrained.
            UsageError: attention to tokens of demonstrations is asked for.
        """
        if training is not None:
            raise errors.UsageError(
                "Attention to the demonstrations' tokens", expected="a prefix or weights", got="a first-order expansion"
            )
        model = self.model
        with torch.no_grad(), dual_numbers():
            seen = model.activations(
                queries.rows,
                self._prefix(),
                answer_at=queries.answer_at,
                probe_at=queries.probe_at,
                weights=with_tangents(masters(model.tuned_values()), self.changes),
                blocks=lens,
            )
            model.check_finite(parts(seen.logits)[0])
            logits = first_order(seen.logits)
            labels = torch.tensor(queries.label_ids, device=logits.device)
            read = self._lens(seen.block_outputs, queries.label_ids) if lens else None
            outputs, scores = first_order(seen.attention_outputs), first_order(seen.scores)
        if not all_finite(logits):
            raise diverged(self.model.dtype)
        return metrics.Answer(
            log_probabilities=logits.log_softmax(-1)[:, labels],
            attention_outputs=outputs,
            scores=scores,
            lens=None if read is None else read.to(logits.device),
            widths=tuple(map(len, queries.rows)),
            likeliest=metrics.likeliest_tokens(logits),
        )

    def _lens(self, outputs: Sequence[Tensor], label_ids: Sequence[int]) -> Tensor:
        """What the expansion of every block's output says of the labels, [layers, rows, labels]."""
        blocks, read_out = self.model.blocks, self.model.read_out
        if read_out.linear:
            states = torch.cat([hidden.to(self.model.head_device) for hidden in outputs])
            read = read_out.log_probabilities(first_order(blocks.before_head(states)), label_ids)
            return read.view(len(outputs), -1, len(label_ids))
        logits = (at_least_single(first_order(blocks.read(hidden))) for hidden in outputs)  # one after another
        return torch.stack([of_block.log_softmax(-1)[:, list(label_ids)] for of_block in logits])

    def _prefix(self) -> Prefix:
        at_start, changes = self.prefix, self.prefix_changes
        keys, values = (
            tuple(dual(value, change) for value, change in zip(*sides, strict=True))
            for sides in ((at_start.keys, changes.keys), (at_start.values, changes.values))
        )
        return Prefix(keys, values, at_start.tokens)


dual: Callable[[Tensor, Tensor], Tensor] = forward_ad.make_dual
"""A value with its first-order change."""
_unpacked: Callable[[Tensor], tuple[Tensor, Tensor | None]] = forward_ad.unpack_dual


@contextmanager
def dual_numbers() -> Iterator[None]:
    """While this lasts, tensors can carry changes, and what is computed from them carries its own."""
    with forward_ad.dual_level():
        _compile_for_dual_numbers()
        yield


@cache
def _compile_for_dual_numbers() -> None:
    """Have torch compile what it compiles for the first dual number of a process, which warns of torch's own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        dual(torch.zeros(()), torch.zeros(()))


def with_tangents(values: Mapping[str, Tensor], changes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Dual numbers by name, from values and their changes."""
    return {name: dual(value, changes[name]) for name, value in values.items()}


def first_order(number: Tensor) -> Tensor:
    """Value and first-order change of a dual number, added."""
    value, change = parts(number)
    return value + change


def parts(number: Tensor) -> tuple[Tensor, Tensor]:
    """Value and first-order change of a dual number; the change is 0 where it carries none."""
    value, change = _unpacked(number)
    return value, torch.zeros_like(value) if change is None else change
