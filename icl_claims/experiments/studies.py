"""Which methods are compared with in-context learning, study by study: each answers one kind of question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from icl_claims.errors import UsageError
from icl_claims.methods import (
    Clipping,
    Finetuning,
    InContext,
    LayerCausal,
    Linearized,
    Method,
    Paraphrased,
    Reordered,
    SwitchedLabels,
    ZeroShot,
)
from icl_claims.models.untrained import Kept

ORDERS = 10
CLIPS = (0.2, 1.0, 5.0, 9.0, 12.0, 15.0)  # of those that the authors tried on Subj, and the 12 they printed
SWITCHES: tuple[Literal["cyclic", "random"], ...] = ("cyclic", "random")


@dataclass(frozen=True)
class Study:
    """One kind of question that trials answer.

    Args:
        name: how claims ask for it.
        what: in a sentence.
        methods: what is compared with in-context learning, given the learning rate of the task.
        weights: of the model.
        diagnostics: whether the logit lens and the attention to the demonstrations are measured.
    """

    name: str
    what: str
    methods: Callable[[float], tuple[Method, ...]]
    weights: Literal["trained"] | Kept = "trained"
    diagnostics: bool = False


def _main(rate: float) -> tuple[Method, ...]:
    return (
        Finetuning(rate),
        LayerCausal(rate),
        LayerCausal(rate, norm_matched=True),
        Linearized(rate),
    )


def _updates(rate: float) -> tuple[Method, ...]:
    return (Finetuning(rate), LayerCausal(rate), LayerCausal(rate, update="sequential"))


def _clips(rate: float) -> tuple[Method, ...]:
    return (
        *(LayerCausal(rate, clip=Clipping(at=at)) for at in CLIPS),
        LayerCausal(rate, clip=Clipping("layer_l2", 1.0)),
        LayerCausal(rate, clip=Clipping("l_inf", 12.0)),
        LayerCausal(rate, clip=Clipping("finetuning", None)),
    )


def _labels(rate: float) -> tuple[Method, ...]:
    learners: tuple[Method, ...] = (InContext(), Finetuning(rate))
    return (Finetuning(rate), *(SwitchedLabels(method, switch) for switch in SWITCHES for method in learners))


def _orders(rate: float) -> tuple[Method, ...]:
    learners: tuple[Method, ...] = (InContext(), Finetuning(rate))
    reordered = (Reordered(method, order) for order in range(1, ORDERS + 1) for method in learners)
    return (Finetuning(rate), *reordered, Paraphrased(ZeroShot()))


def _finetuning(rate: float) -> tuple[Method, ...]:
    return (Finetuning(rate),)


STUDIES = {
    study.name: study
    for study in (
        Study("main", "standard, layer-causal and linearised finetuning", _main, diagnostics=True),
        Study("updates", "layer-causal finetuning of all layers at once, and of one after another", _updates),
        Study("clips", "layer-causal finetuning, its gradients clipped in every way", _clips),
        Study("labels", "demonstrations with false labels", _labels),
        Study("orders", "the same demonstrations in other orders, and another template", _orders),
        Study("untrained", "random blocks between trained embeddings and head", _finetuning, "embeddings_norms_head"),
        Study("untrained_norms", "random weights, trained norms", _finetuning, "norms"),
        Study("untrained_all", "nothing but random weights", _finetuning, "nothing"),
    )
}


def find_study(name: str) -> Study:
    """The study of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in STUDIES:
        raise UsageError("Unknown study", expected=f"one of {', '.join(STUDIES)}", got=repr(name))
    return STUDIES[name]


def every_method(rate: float) -> tuple[Method, ...]:
    """All methods of all studies of the trained model, each once."""
    studies = (study for study in STUDIES.values() if study.weights == "trained")
    return tuple({method.name: method for study in studies for method in study.methods(rate)}.values())
