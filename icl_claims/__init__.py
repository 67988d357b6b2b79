"""icl_claims: every claim about in-context learning as gradient descent, as a test decided by evidence.

>>> from icl_claims import Finetuning, TrialSpec, load_model, run_trial, sim_aou, synthetic_task
>>> model, task = load_model("tiny"), synthetic_task("sst2")
>>> trial = run_trial(TrialSpec.of(model, task, [Finetuning(1.5)], k=4, queries=8), model, task)
>>> -1 <= trial.mean(sim_aou(Finetuning())) <= 1
True

The names of this module are imported when they are used, so that nothing heavy is read in before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from icl_claims.version import __version__
from icl_claims.waiting import wait_passively

WAITING = wait_passively()
"""How the threads of this process wait; said before torch is imported, which reads it then."""

if TYPE_CHECKING:
    from icl_claims.claims import Claim, Paper, at_least, nulls_of
    from icl_claims.experiments.result import TrialResult
    from icl_claims.experiments.spec import TrialSpec
    from icl_claims.experiments.trial import run_trial
    from icl_claims.methods import Finetuning, InContext, LayerCausal, Learned, Linearized, ZeroShot
    from icl_claims.metrics import Metric, SetMetric, accuracy, rpa, sim_am, sim_aou
    from icl_claims.models.reference import load_model
    from icl_claims.protocol import Protocol
    from icl_claims.questions import Quantity, Question
    from icl_claims.tasks import read_task, synthetic_task

_FROM = {
    "claims": ("Claim", "Paper", "at_least", "nulls_of"),
    "experiments.result": ("TrialResult",),
    "experiments.spec": ("TrialSpec",),
    "experiments.trial": ("run_trial",),
    "methods": ("Finetuning", "InContext", "LayerCausal", "Learned", "Linearized", "ZeroShot"),
    "metrics": ("Metric", "SetMetric", "accuracy", "rpa", "sim_am", "sim_aou"),
    "models.reference": ("load_model",),
    "protocol": ("Protocol",),
    "questions": ("Quantity", "Question"),
    "tasks": ("read_task", "synthetic_task"),
}
_PLACES = {name: module for module, names in _FROM.items() for name in names}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
