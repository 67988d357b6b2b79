"""What a metric knows of itself: names, definition, unit, what it is computed from, and what chance gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from icl_claims import protocol, questions

Need = Literal["outputs", "scores", "lens", "shares", "tokens"]
"""Attention outputs; attention scores; each layer's own prediction; the attention to the demonstrations; the likeliest
tokens of the answer."""
Arguments = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says to a batch of queries.

    Args:
        log_probabilities: Log-probability of each label's verbalizer, over the whole vocabulary, in nats.
        attention_outputs: Output of every layer's attention at the probe position.
        scores: Pre-softmax attention scores of the probe position over the query's own tokens, 0 beyond its width;
            None if the query was paraphrased, whose tokens are others.
        lens: Log-probabilities of each label's verbalizer as final norm and head read them from the output of every
            block at the answer position (logit lens); None unless asked for.
        widths: How many columns of the scores are tokens of each query.
        training_attention: The share of its attention, of every layer at the probe position, that each demonstration
            would get if a query attended to nothing but the demonstrations' tokens; None unless asked for.
        likeliest: The tokens of the whole vocabulary that are most probable as the answer, the likeliest first; None
            where activations alone are given.
    """

    log_probabilities: Float[Tensor, "queries labels"]
    attention_outputs: Float[Tensor, "layers queries hidden"]
    scores: Float[Tensor, "layers heads queries width"] | None
    lens: Float[Tensor, "layers queries labels"] | None = None
    widths: tuple[int, ...] = ()
    training_attention: Float[Tensor, "layers queries demonstrations"] | None = None
    likeliest: Int[Tensor, "queries tokens"] | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """What a metric by layer is computed from: three answers to one batch of queries.

    Args:
        answer: That of the method that is measured.
        reference: That of in-context learning, or of what the method is compared with instead.
        gold: The true labels.
        queries: Index of each query in the trial, from which its random draws follow.
        lengths: Tokens of each demonstration in the context.
    """

    answer: Answer
    reference: Answer
    zero_shot: Answer
    gold: Int[np.ndarray, " queries"]
    queries: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    seed: int = 0
    random_baseline: protocol.RandomBaseline = "update"


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a metric of predictions is computed from: labels of the same queries.

    Args:
        answered: The labels that the method predicts.
        reference: Those of in-context learning, or of what the method is compared with instead.
        gold: The true ones.
        orders: Those of the method for every order of the demonstrations that was tried; None if one was.
        log_probabilities: Those of each label's verbalizer by the method, over the whole vocabulary, in nats.
    """

    answered: Int[np.ndarray, " queries"]
    reference: Int[np.ndarray, " queries"]
    zero_shot: Int[np.ndarray, " queries"]
    gold: Int[np.ndarray, " queries"]
    orders: Int[np.ndarray, "orders queries"] | None = None
    agreement: protocol.Agreement = "same_label"
    log_probabilities: Float[np.ndarray, "queries labels"] | None = None


@dataclass(frozen=True, eq=False)
class Course:
    """What a metric of learning is computed from.

    Args:
        gradient_norms: L2 norm of each layer's gradient at every step, before any clipping.
        standard: The same of standard finetuning.
        drift: By how much learning changed each layer's weights, relative to their size.
    """

    gradient_norms: Float[np.ndarray, "steps layers"] | None = None
    standard: Float[np.ndarray, "steps layers"] | None = None
    drift: Float[np.ndarray, " layers"] | None = None


@dataclass(frozen=True)
class Baseline:
    """What chance puts in the place of a method, such as a random vector for an update."""

    name: str
    title: str


RANDOM_UPDATE = Baseline("random_update", "a random update")
DEMONSTRATION_LENGTHS = Baseline("demonstration_lengths", "the lengths of the demonstrations")


@dataclass(frozen=True, eq=False, kw_only=True)
class Metric:
    """A metric. Called with a method it gives a quantity, from which questions are made.

    >>> from icl_claims.methods import Finetuning
    >>> from icl_claims.metrics import accuracy
    >>> print(accuracy(Finetuning()) > 0.5)
    accuracy of finetuning above 0.5

    Args:
        definition: What it says, in a sentence or two.
        values: The function on arrays that computes it.
        takes: The arguments of that function, from what the metric is computed from.
        formula: In LaTeX; empty where words say it better.
        unit: Unit of its values; empty for a pure number.
        percent: Whether tables print it in percent.
        bounds: From where to where it can lie.
    """

    name: str
    title: str
    definition: str
    values: Callable[..., Any]
    takes: Callable[[Any], Arguments]
    formula: str = ""
    source: str = ""
    unit: str = ""
    percent: bool = False
    bounds: tuple[float, float] = (-inf, inf)

    def __call__(self, method: questions.Named, reference: questions.Named | None = None) -> questions.Quantity:
        """The metric of a method, where it compares with that of a reference, or of in-context learning."""
        return questions.Quantity(self, method, reference)

    def of(self, found: Any) -> Any:
        """The values of the metric, from what it is computed from (`Predicted`, `Seen` or `Course`)."""
        return self.values(**self.takes(found))


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictionMetric(Metric):
    """A metric of predictions: one value per query (RPA: two), NaN where a query does not count.

    Args:
        of_prompted: Whether it says anything about zero-shot and in-context learning themselves.
        over_orders: Whether it needs the predictions for other orders of the demonstrations.
    """

    of_prompted: bool = False
    over_orders: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerMetric(Metric):
    """A metric of what happens inside: one value per query and layer.

    Args:
        needs: What of the answers it is computed from.
        compares: Whether the method is compared with a reference.
        of_updates: Whether it is about the change since zero-shot, which zero-shot itself has none of.
        drawn_by_layer: Whether the report draws it layer by layer.
        baselines: What chance gives, computed from the reference and zero-shot alone.
    """

    needs: frozenset[Need] = frozenset({"outputs"})
    compares: bool = True
    of_updates: bool = False
    drawn_by_layer: bool = True
    baselines: tuple[tuple[Baseline, Callable[[Seen], Any]], ...] = ()

    @property
    def of_diagnostics(self) -> bool:
        """Whether it needs what is there only of methods that are diagnosed."""
        return bool(self.needs & {"lens", "shares"})

    @property
    def of_answers(self) -> bool:
        """Whether it is of what is answered, which no null of updates says anything about."""
        return "tokens" in self.needs

    def applies(self, *answers: Answer) -> bool:
        """Whether all the answers hold what it needs."""
        fields = {"outputs": "attention_outputs", "shares": "training_attention", "tokens": "likeliest"}
        return all(getattr(answer, fields.get(need, need)) is not None for answer in answers for need in self.needs)


@dataclass(frozen=True, eq=False, kw_only=True)
class SetMetric(LayerMetric):
    """A metric of all queries of a trial together: one value per layer.

    `values` gives [queries, layers, features] of a batch; they are forgotten when the trial ends.

    >>> import numpy as np
    >>> spread = SetMetric(
    ...     name="spread",
    ...     title="spread of attention outputs",
    ...     definition="Variance of attention outputs over queries, mean over features.",
    ...     takes=lambda seen: {"outputs": seen.answer.attention_outputs},
    ...     values=lambda outputs: outputs.transpose(0, 1),
    ...     over=lambda features: features.var(axis=0).mean(axis=-1),
    ... )
    >>> spread.over(np.array([[[0.0, 0.0]], [[2.0, 4.0]]]))
    array([2.5])

    Args:
        over: Its value at each layer, from the features of all queries.
    """

    over: Callable[[Float[np.ndarray, "queries layers features"]], Float[np.ndarray, " layers"]]


@dataclass(frozen=True, eq=False, kw_only=True)
class LearningMetric(Metric):
    """A metric of learning: one value per step and layer, or one per layer for all steps together.

    Args:
        of_standard: Whether it is relative to standard finetuning, which must then be in the same trial.
    """

    of_standard: bool = False


Kind = TypeVar("Kind", bound=Metric)


def metric(kind: type[Kind], **known: Any) -> Callable[[Callable[..., Any]], Kind]:
    """Make a metric of the function on arrays that it decorates, under the function's name."""
    return lambda values: kind(name=values.__name__, values=values, **known)


def variant(of: Kind, name: str, title: str, definition: str, **options: Any) -> Kind:
    """The same metric computed with other options of its function."""
    return replace(of, name=name, title=title, definition=definition, formula="", values=partial(of.values, **options))
