"""What every method of learning from demonstrations has in common: learn, then answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims import errors, metrics, questions, tasks
from icl_claims.models import Keys, LanguageModel, Prefix, Weights, all_finite, at_least_single, layer_norms


@dataclass(frozen=True, eq=False)
class TrainingTokens:
    """The tokens of the demonstrations in the context, end to end, without bos and separators.

    Args:
        lengths: how many each demonstration has, in the order of the context.
    """

    keys: Keys
    lengths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Learned:
    """What a method took from its demonstrations: a prefix, a change of weights, or neither.

    >>> from icl_claims import Finetuning, TrialSpec, load_model, synthetic_task
    >>> from icl_claims.experiments.trial import prompts_of
    >>> model, task = load_model("tiny"), synthetic_task("sst2")
    >>> shown = prompts_of(TrialSpec.of(model, task, [], k=2), model, task).demonstrations
    >>> len(Finetuning(1.5).learn(model, shown).losses)
    2

    Args:
        model: the model that learned; its own parameters are as pretrained.
        prefix: what stands before every query.
        weights: values of the parameters that learning changed.
        losses: of every learning step, in nats per token.
        gradient_norms: L2 norm of the gradient of each layer's K and V projections at every step, of that step's
            demonstration alone and before any clipping; None for methods without gradients.
    """

    model: LanguageModel
    prefix: Prefix
    weights: Weights = field(default_factory=dict)
    losses: tuple[float, ...] = ()
    gradient_norms: Float[np.ndarray, "steps layers"] | None = None

    def training_tokens(self, demonstrations: tasks.Demonstrations) -> TrainingTokens:
        """The demonstrations in the context as queries can attend to them, to be read once and kept.

        Where they lie in the prefix, each after those before it, their keys are taken from it. Else each is read with
        the learned weights right after bos, where a query stands, too, as if there were no other. With rotary positions
        a key is turned by the position at which it is read: then by that in its own demonstration, in the context by
        that in the context.

        Source: Dai et al. 2023, attention to training tokens; in the keys' place, their code takes the query vectors
            that the training tokens had while they were stepped on.
        """
        spans = demonstrations.spans
        if self.prefix.tokens == len(demonstrations.context):
            places = torch.tensor([place for span in spans for place in span])
            keys = tuple(of_layer.index_select(1, places.to(of_layer.device)) for of_layer in self.prefix.keys)
        else:
            rows = [demonstrations.context[span.start : span.stop] for span in spans]
            keys = self.model.keys_of(rows, self.prefix, self.weights)
        return TrainingTokens(keys, tuple(map(len, spans)))

    def answer(
        self, queries: tasks.Queries, *, lens: bool = False, training: TrainingTokens | None = None
    ) -> metrics.Answer:
        """Answer a batch of queries, none of which sees another.

        Args:
            queries: the batch.
            lens: whether every block's own prediction of the labels is wanted.
            training: tokens of demonstrations over which the share of attention is wanted; queries are answered as if
                there were none.

        Raises:
            DivergenceError: logits are not finite after a change of weights.
            ModelError: logits are not finite as pretrained.
        """
        with torch.inference_mode():
            seen = self.model.activations(
                queries.rows,
                self.prefix,
                answer_at=queries.answer_at,
                probe_at=queries.probe_at,
                weights=self.weights,
                blocks=lens,
                against=None if training is None else training.keys,
            )
        if self.weights and not all_finite(seen.logits):
            raise diverged(self.model.dtype)
        self.model.check_finite(seen.logits)
        device = seen.logits.device
        labels = torch.tensor(queries.label_ids, device=device)
        read = shares = None
        if training is not None and seen.scores_against is not None:
            by_layer = (metrics.shares_of_demonstrations(scores, training.lengths) for scores in seen.scores_against)
            shares = torch.stack([of_layer.to(device) for of_layer in by_layer])
        if lens:
            with torch.inference_mode():
                read = self.model.lens(seen.block_outputs, queries.label_ids).to(device)
        return metrics.Answer(
            log_probabilities=seen.logits.log_softmax(-1)[:, labels],
            attention_outputs=seen.attention_outputs,
            scores=seen.scores,
            lens=read,
            widths=tuple(map(len, queries.rows)),
            training_attention=shares,
            likeliest=metrics.likeliest_tokens(seen.logits),
        )

    def drift(self) -> Float[np.ndarray, " layers"]:
        """How far learning moved the K and V projections of each layer: ||dW|| / ||W||, 0 where it did not."""
        before, parameters = self.model.tuned_values(), self.model.tuned_parameters
        changes = weight_changes(self.model, {**before, **self.weights})
        sizes = layer_norms(parameters, before.values())
        moved = layer_norms(parameters, changes.values())
        return np.array([moved[layer] / sizes[layer] if sizes[layer] else 0.0 for layer in range(self.model.layers)])


def weight_changes(model: LanguageModel, weights: Weights) -> dict[str, Tensor]:
    """By how much the K and V projections differ from their pretrained values, in single precision or finer."""
    before = model.tuned_values()
    return {name: at_least_single(weights[name]) - at_least_single(value) for name, value in before.items()}


def diverged(
    dtype: torch.dtype, what: str = "Learning", step: str = "", rate: float | None = None
) -> errors.DivergenceError:
    """The error of learning that led to NaN or infinity; float16 ends so early that it may be to blame itself."""
    smaller = "a smaller learning rate" if rate is None else f"a learning rate below {rate:g}"
    if dtype != torch.float16:
        problem, expected, todo = "diverged", "finite numbers", f"Use {smaller}."
    else:
        problem, expected = "left the range of float16", f"numbers up to {torch.finfo(dtype).max:g}"
        todo = f"Use ⟨dtype⟩ float32, and {smaller} if it diverges there, too."
    return errors.DivergenceError(f"{what} {problem}{step}", expected=expected, got="NaN or infinity", todo=todo)


@runtime_checkable
class Method(Protocol):
    """A way of learning from demonstrations.

    A method may also say what it is a variant of (`variant_of`, a method), that it learns no weights
    (`learns_weights = False`), and that each layer's own prediction and its attention to the demonstrations are
    measured (`diagnosed = True`), for which the demonstrations are read once more. For the report it may say in a
    sentence what it does (`definition`), by which formula in LaTeX (`formula`), and where that is from (`source`).
    """

    @property
    def name(self) -> str:
        """The method's name in tables and files: `zero_shot`, `in_context`, `finetuning`, ..."""
        ...

    @property
    def title(self) -> str:
        """The method's name in print: zero-shot, in-context learning, finetuning, ..."""
        ...

    def learn(
        self, model: LanguageModel, demonstrations: tasks.Demonstrations, known: "Known | None" = None
    ) -> Learned:
        """Learn, leaving the model itself as it was.

        Known is what other methods learned from the same demonstrations, for methods that build on them; what is not
        there, they learn on the way.
        """
        ...


Known = Mapping[Method, Learned]
"""What methods learned; a method is found by all of its parameters."""


def learned_by(method: Method, model: LanguageModel, demonstrations: tasks.Demonstrations, known: Known) -> Learned:
    """What a method learned, as far as it is known; else it learns now."""
    return known[method] if method in known else method.learn(model, demonstrations, known)


AMethod = TypeVar("AMethod")


def variant_of(method: Method) -> Method | None:
    """The method that a method is a variant of; None if it is none."""
    found: Method | None = getattr(method, "variant_of", None)
    return found


def is_diagnosed(method: Method) -> bool:
    """Whether each layer's own prediction and the attention to the demonstrations are measured."""
    return getattr(method, "diagnosed", False) and variant_of(method) is None


def learns_weights(method: Method) -> bool:
    """Whether it changes weights, or the method within it does."""
    return getattr(learner_of(method), "learns_weights", True)


def learner_of(method: Method) -> Method:
    """The method within all perturbations of what it is given."""
    inner = getattr(method, "method", None)
    return method if inner is None else learner_of(inner)


def with_parameter(method: AMethod, name: str, value: Any) -> AMethod:
    """A method with one parameter set where it is not, also where the method lies within another."""
    changes: dict[str, Any] = {}
    named: Any = method
    for one in fields(named):
        held = getattr(method, one.name)
        if one.name == name and held is None:
            changes[name] = value
        elif one.name in ("method", "of") and is_dataclass(held):
            inner = with_parameter(held, name, value)
            changes |= {} if inner is held else {one.name: inner}
    return replace(named, **changes) if changes else method


def at_rate(method: AMethod, learning_rate: float) -> AMethod:
    """A method with a learning rate, unless it has one of its own or needs none."""
    return with_parameter(method, "learning_rate", learning_rate)


@dataclass(frozen=True)
class Stepping:
    """One of our methods that step down a gradient; its class called with a learning rate alone gives the standard."""

    learning_rate: float | None = None
    name: str = field(init=False)

    @property
    def variant_of(self) -> "Stepping | None":
        """The standard method, where something about this one is particular."""
        standard = type(self)(self.learning_rate)
        return None if standard.name == self.name else standard


@runtime_checkable
class Descending(Method, Protocol):
    """A method that steps down a gradient."""

    @property
    def learning_rate(self) -> float | None:
        """The learning rate of every step; None if the task's is still to be filled in."""
        ...


def name_of(word: str, loss: str | None, clip: questions.Named | None = None, *more: str) -> str:
    """A method's name in tables, with what is particular about its loss, its clipping, and more."""
    return "_".join((word, *(["label_only"] if loss == "label_only" else []), *([clip.name] if clip else []), *more))


def title_with(words: str, loss: str | None, clip: questions.Named | None = None) -> str:
    """A method's name in print, with what is particular about its loss and its clipping."""
    return words + (", of labels alone" if loss == "label_only" else "") + (f" {clip.title}" if clip else "")


def rate_of(method: Descending) -> float:
    """The learning rate of a method.

    Raises:
        UsageError: It was given none.
    """
    if method.learning_rate is None:
        todo = "Give it one, such as Finetuning(0.01); in a trial the task's own is filled in."
        raise errors.UsageError(f"The method {method.name} has no learning rate", todo=todo)
    return method.learning_rate
