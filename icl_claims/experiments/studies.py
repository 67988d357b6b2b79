"""Which methods are compared with in-context learning, study by study: each answers one kind of question."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, Self

from icl_claims import errors, questions
from icl_claims.methods import (
    Clipping,
    Finetuning,
    KernelRegression,
    LayerCausal,
    Linearized,
    Method,
    TaskVector,
    base,
    nulls,
    prompting,
)
from icl_claims.metrics import BY_LAYER, METRICS, Baseline, LayerMetric, LearningMetric, PredictionMetric
from icl_claims.models import Kept

ORDERS = 10
CLIPS = (0.2, 1.0, 5.0, 9.0, 12.0, 15.0)  # of those that the authors tried on Subj, and the 12 they printed
SWITCHES: tuple[Literal["cyclic", "random"], ...] = ("cyclic", "random")
ARRANGEMENTS: tuple[prompting.Arrangement, ...] = ("true_first", "exchanged_first", "alternating")
ZERO_SHOT, IN_CONTEXT, STANDARD = prompting.ZeroShot(), prompting.InContext(), Finetuning()
OWN = "own"


@dataclass(frozen=True)
class Study:
    """One kind of question that trials answer.

    Args:
        methods: What is compared with in-context learning, each at the learning rate of the task.
        diagnostics: Whether the logit lens and the attention to the demonstrations are measured.
        apart: Whether its draws are others than those of the other studies.
        metrics: Metrics of the reader's own that are measured beside ours.
    """

    name: str
    what: str
    methods: tuple[Method, ...]
    weights: Literal["trained"] | Kept = "trained"
    diagnostics: bool = False
    metrics: tuple[LayerMetric, ...] = ()
    apart: bool = False

    @property
    def answering(self) -> tuple[Method, ...]:
        """All methods that answer."""
        return (ZERO_SHOT, IN_CONTEXT, *self.methods)

    def measures(self, quantity: questions.Quantity) -> bool:
        """Whether its trials hold a quantity."""
        metric, method, reference = quantity.metric, quantity.method, quantity.reference or IN_CONTEXT
        names = {answering.name for answering in self.answering}
        if quantity.weights != self.weights or reference.name not in names:
            return False
        if isinstance(metric, PredictionMetric):
            return method.name in names and (not metric.over_orders or bool(orders_of(method.name, self.methods)))
        if isinstance(metric, LearningMetric):
            learned = {one.name for one in self.methods if base.learns_weights(one)}
            return {method.name, STANDARD.name} <= learned if metric.of_standard else method.name in learned
        if not isinstance(metric, LayerMetric) or metric not in (*BY_LAYER, *self.metrics):
            return False
        inside = metric.of_diagnostics
        if inside and not self.diagnostics:
            return False
        if isinstance(method, Baseline):
            return reference == IN_CONTEXT and any(method == baseline for baseline, _ in metric.baselines)
        return (method.name, reference.name) in {(one.name, other.name) for one, other in self._seen_by(metric, inside)}

    def _seen_by(self, metric: LayerMetric, inside: bool) -> Iterator[tuple[questions.Named, questions.Named]]:
        """The methods and nulls that a metric by layer is computed of, and what each is compared with."""
        compared = (
            prompting.pairs(self.answering) if metric.compares else tuple((one, IN_CONTEXT) for one in self.answering)
        )
        for method, reference in compared:
            still = metric.of_updates and method == ZERO_SHOT
            unlike = "scores" in metric.needs and isinstance(method, prompting.Paraphrased)
            if not (still or unlike or (inside and not (base.is_diagnosed(method) and base.is_diagnosed(reference)))):
                yield method, reference
        if metric.compares and not (inside or metric.of_answers):
            yield from ((null, IN_CONTEXT) for null in self.nulls)

    def narrowed(self, quantities: Iterable[questions.Quantity]) -> Self:
        """The same with the methods, metrics and diagnostics alone that some quantities need."""
        asked = tuple(quantities)
        names = {name for quantity in asked for name in self._needed_by(quantity)}
        metrics = {quantity.metric.name for quantity in asked}
        return replace(
            self,
            methods=tuple(method for method in self.methods if method.name in names),
            metrics=tuple(metric for metric in self.metrics if metric.name in metrics),
            diagnostics=self.diagnostics and any(getattr(one.metric, "of_diagnostics", False) for one in asked),
        )

    def _needed_by(self, quantity: questions.Quantity) -> Iterator[str]:
        """The names of the methods that must answer for a quantity to be known."""
        for side in (quantity.method, quantity.reference):
            if side is not None:
                yield getattr(side, "of", side).name
        if getattr(quantity.metric, "over_orders", False):
            yield from (other.name for other in orders_of(quantity.method.name, self.methods))
        if getattr(quantity.metric, "of_standard", False):
            yield STANDARD.name

    @property
    def nulls(self) -> tuple[nulls.Null, ...]:
        """The nulls of its methods."""
        return tuple(null for method in self.methods for null in nulls.nulls_of_method(method))


def orders_of(method: str, methods: Iterable[Method]) -> tuple[prompting.Reordered, ...]:
    """The same method with the demonstrations in other orders."""
    return tuple(other for other in methods if isinstance(other, prompting.Reordered) and other.method.name == method)


LEARNING = "learning"
"""The study that says whether a model learns in context at all."""
_FT, _LC = STANDARD, LayerCausal()
_MAIN = (_FT, _LC, LayerCausal(norm_matched=True), Linearized())
_KERNEL = KernelRegression()
_OF_REPRESENTATIONS = (
    *(TaskVector(), TaskVector(state="gaussian"), TaskVector(STANDARD)),
    *(_KERNEL, prompting.SwitchedLabels(_KERNEL, "random")),
)
STUDIES = {
    study.name: study
    for study in (
        Study(
            "main",
            "standard, layer-causal and linearised finetuning",
            _MAIN,
            diagnostics=True,
        ),
        Study(
            "updates",
            "layer-causal finetuning of all layers at once, and of one after another",
            (_FT, _LC, LayerCausal(update="sequential")),
        ),
        Study(
            "clips",
            "layer-causal finetuning, its gradients clipped in every way",
            (
                *(LayerCausal(clip=Clipping(at=at)) for at in CLIPS),
                LayerCausal(clip=Clipping(at=1.0, norm="layer_l2")),
                LayerCausal(clip=Clipping(at=12.0, norm="l_inf")),
                LayerCausal(clip=Clipping(norm="finetuning")),
            ),
        ),
        Study(
            "labels",
            "demonstrations with false labels",
            (_FT, *(prompting.SwitchedLabels(method, switch) for switch in SWITCHES for method in (IN_CONTEXT, _FT))),
        ),
        Study(
            "orders",
            "the same demonstrations in other orders, and another template",
            (
                _FT,
                *(prompting.Reordered(method, order) for order in range(1, ORDERS + 1) for method in (IN_CONTEXT, _FT)),
                prompting.Paraphrased(ZERO_SHOT),
            ),
        ),
        Study(
            "recency",
            "demonstrations of which half have false labels, in three arrangements",
            tuple(prompting.MixedLabels(method, how) for how in ARRANGEMENTS for method in (IN_CONTEXT, STANDARD)),
        ),
        Study(
            "representations",
            "one hidden state, or a mean over demonstrations, in the place of the demonstrations",
            (STANDARD, *_OF_REPRESENTATIONS),
        ),
        Study("untrained", "random blocks between trained embeddings and head", _MAIN, "embeddings_norms_head"),
        Study("untrained_norms", "random weights, trained norms", (_FT,), "norms"),
        Study("untrained_all", "nothing but random weights", (_FT,), "nothing"),
        Study(LEARNING, "zero-shot and in-context learning alone, on draws of their own", (), apart=True),
    )
}


def find_study(name: str) -> Study:
    """The study of a name.

    Raises:
        UsageError: There is none.
    """
    if name not in STUDIES:
        raise errors.UsageError("Unknown study", expected=f"one of {', '.join(STUDIES)}", got=repr(name))
    return STUDIES[name]


def study_of(quantity: questions.Quantity, studies: Iterable[Study] = STUDIES.values()) -> Study | None:
    """The first study whose trials hold a quantity; None if none does."""
    return next((study for study in studies if study.measures(quantity) and not study.apart), None)


def measured_of(metric: questions.Named, studies: Iterable[Study] = STUDIES.values()) -> list[str]:
    """The names of all quantities of a metric that trials hold; those of all metrics if they hold none of it."""
    found = dict.fromkeys(
        quantity.name
        for study in studies
        for method in (*study.answering, *study.nulls, *(one for one, _ in getattr(metric, "baselines", ())))
        if study.measures(quantity := questions.Quantity(metric, method, weights=study.weights))
    )
    return list(found) or [one.name for one in METRICS]


def own_study(quantities: Iterable[questions.Quantity]) -> Study | None:
    """The study of what the reader's own claims ask for and none of ours measures; None if there is nothing.

    It holds the reader's own methods and, for the reader's own metrics, all methods that they are asked of.
    """
    methods: dict[str, Method] = {}
    metrics: dict[str, LayerMetric] = {}
    for quantity in (one for one in quantities if study_of(one) is None and one.weights == "trained"):
        if isinstance(quantity.metric, LayerMetric) and quantity.metric not in METRICS:
            metrics[quantity.metric.name] = quantity.metric
        if isinstance(quantity.metric, LearningMetric) and quantity.metric.of_standard:
            methods[STANDARD.name] = STANDARD
        for side in (quantity.method, quantity.reference):
            learner = getattr(side, "of", side)
            if isinstance(learner, Method) and learner not in (ZERO_SHOT, IN_CONTEXT):
                methods[learner.name] = learner
    if not methods and not metrics:
        return None
    return Study(OWN, "what your own claims ask for", tuple(methods.values()), metrics=tuple(metrics.values()))


def every_method() -> tuple[Method, ...]:
    """All methods of all studies of the trained model, each once."""
    studies = (study for study in STUDIES.values() if study.weights == "trained")
    return tuple({method.name: method for study in studies for method in study.methods}.values())


@cache
def known_names() -> dict[str, questions.Named]:
    """Every metric, method, null and baseline that we measure, by its name."""
    measured = (named for study in STUDIES.values() for named in (*study.answering, *study.nulls))
    baselines = (baseline for metric in BY_LAYER for baseline, _ in metric.baselines)
    return {named.name: named for named in (*METRICS, *measured, *baselines)}


def title_of(name: str) -> str:
    """The name in print of a metric, method, null or baseline that we measure; any other name as it is.

    >>> title_of("sim_aou"), title_of("gaussian_of_finetuning")
    ('SimAOU', 'a Gaussian update as long as that of finetuning')
    """
    return known_names()[name].title if name in known_names() else name
