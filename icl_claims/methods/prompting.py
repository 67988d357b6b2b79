"""Methods that differ in the prompt alone: zero-shot, in-context learning, false labels, other orders, other words."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from icl_claims.methods.base import (
    Known,
    Learned,
    Method,
    TrainingTokens,
    learned_by,
    learner_of,
    learns_weights,
    variant_of,
)
from icl_claims.methods.finetuning import Finetuning
from icl_claims.methods.layer_causal import LayerCausal
from icl_claims.metrics import Answer
from icl_claims.models import LanguageModel
from icl_claims.tasks import Demonstrations, Queries


@dataclass(frozen=True)
class ZeroShot:
    """Learns nothing: a query is answered after the token that opens every prompt.

    >>> ZeroShot().name, ZeroShot().title
    ('zero_shot', 'zero-shot')
    """

    name: ClassVar[str] = "zero_shot"
    title: ClassVar[str] = "zero-shot"
    definition: ClassVar[str] = (
        "The query alone. The label whose word is most probable is the prediction, unless the run calibrates."
    )
    look: ClassVar[int] = 0
    learns_weights: ClassVar[bool] = False
    diagnosed: ClassVar[bool] = True

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the opening token only."""
        return Learned(model, model.read_prefix([demonstrations.bos]))


@dataclass(frozen=True)
class InContext:
    """Learns a prefix: the keys and values of the demonstrations, read once.

    >>> from icl_claims.metrics import accuracy
    >>> print(accuracy(InContext()) > accuracy(ZeroShot()))
    accuracy of in-context learning above accuracy of zero-shot
    """

    name: ClassVar[str] = "in_context"
    title: ClassVar[str] = "in-context learning"
    definition: ClassVar[str] = "The demonstrations stand before the query; no weight changes."
    look: ClassVar[int] = 1
    learns_weights: ClassVar[bool] = False
    diagnosed: ClassVar[bool] = True

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the demonstrations that fit into the context."""
        return Learned(model, model.read_prefix(demonstrations.context))


Switch = Literal["permuted", "cyclic", "random"]
"""Every class gets another one's label; the next one's; or every demonstration gets a label at random."""


@dataclass(frozen=True)
class _Perturbed:
    method: Method

    @property
    def variant_of(self) -> Method:
        """The method that is given what it was meant for."""
        return self.method


@dataclass(frozen=True)
class SwitchedLabels(_Perturbed):
    """A method that learns from demonstrations with false labels.

    Args:
        seed: of what is drawn; None for that of the demonstrations, so that every trial has other labels.

    Source: promised in "Understanding ...", section 1; no result, table or code of it exists.
    """

    switch: Switch
    seed: int | None = None
    definition: ClassVar[str] = (
        "The texts of the demonstrations with false labels: each class gets the next one's "
        "label (cyclic), or another one's (permuted), or labels are drawn at random."
    )

    @property
    def name(self) -> str:
        """`in_context_cyclic_labels`, `finetuning_random_labels`, ..."""
        return f"{self.method.name}_{self.switch}_labels"

    @property
    def title(self) -> str:
        """in-context learning with cyclic labels, finetuning with random labels, ..."""
        return f"{self.method.title} with {self.switch} labels"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Learn from the same texts with other labels."""
        seed = demonstrations.seed if self.seed is None else self.seed
        labels = switched(demonstrations.labels, len(demonstrations.label_ids), self.switch, seed)
        return self.method.learn(model, demonstrations.relabelled(labels))


Arrangement = Literal["true_first", "exchanged_first", "alternating"]
"""Which half of the demonstrations has the next class's label: the second, the first, or every other one."""


@dataclass(frozen=True)
class MixedLabels(_Perturbed):
    """A method that learns from demonstrations of which half, in its own order, have the next class's label.

    In all arrangements as many labels are exchanged; of an odd number of demonstrations, the smaller half.

    Source: Kossen et al. 2024, section 8, of two labels.
    """

    arrangement: Arrangement
    definition: ClassVar[str] = (
        "Half of the demonstrations, rounded down, have the next class's label: those that are seen last, first, or "
        "every other one."
    )

    @property
    def name(self) -> str:
        """`in_context_true_first`, `finetuning_exchanged_first`, ..."""
        return f"{self.method.name}_{self.arrangement}"

    @property
    def title(self) -> str:
        """in-context learning with true labels first, ..."""
        words = {"true_first": "true labels first", "exchanged_first": "exchanged labels first"}
        return f"{self.method.title} with {words.get(self.arrangement, 'true and exchanged labels in turn')}"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Learn from the same texts, half of them with other labels."""
        order = demonstrations.learning_order if learns_weights(self.method) else demonstrations.context_order
        classes = len(demonstrations.label_ids)
        labels = half_exchanged(demonstrations.labels, classes, order, self.arrangement)
        return self.method.learn(model, demonstrations.relabelled(labels))


@dataclass(frozen=True)
class Reordered(_Perturbed):
    """A method that sees the same demonstrations in another order, drawn from the seed `order`."""

    order: int
    definition: ClassVar[str] = "The same demonstrations in another order, drawn at random."

    @property
    def name(self) -> str:
        """`in_context_order_3`, `finetuning_order_3`, ..."""
        return f"{self.method.name}_order_{self.order}"

    @property
    def title(self) -> str:
        """in-context learning in order 3, ..."""
        return f"{self.method.title} in order {self.order}"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Learn from the demonstrations in another order."""
        return self.method.learn(model, demonstrations.reordered(self.order))


@dataclass(frozen=True)
class Paraphrased(_Perturbed):
    """A method that is asked through the task's second template; its answers have no attention scores."""

    definition: ClassVar[str] = "The query in the words of the task's second template."

    @property
    def name(self) -> str:
        """`zero_shot_paraphrased`, ..."""
        return f"{self.method.name}_paraphrased"

    @property
    def title(self) -> str:
        """Paraphrased zero-shot, ..."""
        return f"paraphrased {self.method.title}"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Learn as the method does."""
        return AskedInOtherWords.of(learned_by(self.method, model, demonstrations, known or {}))


@dataclass(frozen=True, eq=False)
class AskedInOtherWords(Learned):
    """Answers paraphrased queries; their tokens are others, so their attention scores compare with none."""

    learned: Learned = field(kw_only=True)

    @classmethod
    def of(cls, learned: Learned) -> "AskedInOtherWords":
        """What was learned, to be asked in other words."""
        took = learned.model, learned.prefix, learned.weights, learned.losses, learned.gradient_norms
        return cls(*took, learned=learned)

    def answer(self, queries: Queries, *, lens: bool = False, training: TrainingTokens | None = None) -> Answer:
        """Answer a batch of queries in the words of the task's second template."""
        answer = self.learned.answer(queries.in_other_words(), lens=lens, training=training)
        return replace(answer, scores=None, widths=())


def switched(labels: tuple[int, ...], classes: int, switch: Switch, seed: int) -> tuple[int, ...]:
    """The labels of demonstrations after a switch.

    A permutation leaves no class in its place, and is the same for all demonstrations; a label at random may happen to
    be the true one.
    """
    drawn = np.random.default_rng((seed, 0, 3))  # another stream than that of the demonstrations and of controls
    if switch == "random":
        return tuple(drawn.integers(0, classes, len(labels)).tolist())
    unmoved = np.arange(classes)
    moved = np.roll(unmoved, -1)
    if switch == "permuted" and classes > 2:
        moved = drawn.permutation(classes)
        while (moved == unmoved).any():
            moved = drawn.permutation(classes)
    return tuple(moved[list(labels)].tolist())


def half_exchanged(
    labels: tuple[int, ...], classes: int, order: tuple[int, ...], arrangement: Arrangement
) -> tuple[int, ...]:
    """The labels of demonstrations of which half, of those in an order of their indices, get the next class's.

    >>> [half_exchanged((0, 0, 0, 0, 0), 2, (4, 3, 2, 1, 0), how) for how in ("true_first", "alternating")]
    [(1, 1, 0, 0, 0), (0, 1, 0, 1, 0)]
    """
    half, exchanged = len(order) // 2, switched(labels, classes, "cyclic", 0)
    places = {"true_first": order[len(order) - half :], "exchanged_first": order[:half], "alternating": order[1::2]}
    chosen = set(places[arrangement])
    return tuple(exchanged[index] if index in chosen else label for index, label in enumerate(labels))


def pairs(methods: Iterable[Method]) -> tuple[tuple[Method, Method], ...]:
    """Which method is compared with which: all with in-context learning, and some with a variant of it or finetuning.

    Standard finetuning is compared with every variant of in-context learning, and a variant of finetuning with the one
    that is perturbed alike. With standard finetuning are compared layer-causal finetuning, and itself in another order.
    """
    methods, in_context = tuple(methods), InContext()
    found: list[tuple[Method, Method]] = [(method, in_context) for method in methods if method != in_context]
    tuned = [m for m in methods if isinstance(learner_of(m), Finetuning) and variant_of(learner_of(m)) is None]
    for variant in (m for m in methods if m != in_context and learner_of(m) == in_context):
        found += [(m, variant) for m in tuned if m in (learner_of(m), _perturbed_as(variant, learner_of(m)))]
    for standard in (m for m in tuned if learner_of(m) is m):
        layer_causal = (m for m in methods if isinstance(m, LayerCausal) and variant_of(m) is None)
        found += [(m, standard) for m in (*layer_causal, Reordered(standard, 1)) if m in methods]
    return tuple(found)


def _perturbed_as(variant: Any, learner: Method) -> Method:
    """A learner under the perturbations of another."""
    return replace(variant, method=_perturbed_as(variant.method, learner)) if hasattr(variant, "method") else learner
