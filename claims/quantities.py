"""What the claims about tasks compare, under the papers' names."""

from __future__ import annotations

from dataclasses import replace

from icl_claims.claims import Comparison, Outcome, Quantity, TaskRule

# SimAOU: whether attention outputs move in the direction in which in-context learning moves them
AOU_FT = Quantity("sim_aou", "finetuning")
AOU_LC = Quantity("sim_aou", "layer_causal")
AOU_LINEAR = Quantity("sim_aou", "linearized")
AOU_RANDOM = Quantity("sim_aou", "random_update")

# SimAM: how close attention scores are to those of in-context learning
AM_BEFORE = Quantity("sim_am", "zero_shot")
AM_FT = Quantity("sim_am", "finetuning")
AM_LC = Quantity("sim_am", "layer_causal")
AM_LINEAR = Quantity("sim_am", "linearized")

# Gradients of the keys' and values' projections: the logarithm of layer-causal norms over standard ones, 0 where equal
LC_OVER_FT = Quantity("log_gradient_ratio", "layer_causal")
LC_OVER_FT_AT_FIRST = Quantity("first_log_gradient_ratio", "layer_causal")  # both methods still have the same weights

# The metric of the authors' later code: whether attention scores move in in-context learning's direction
AM_UPDATE_FT = Quantity("sim_am_update", "finetuning")
AM_UPDATE_LC = Quantity("sim_am_update", "layer_causal")
AM_UPDATE_LINEAR = Quantity("sim_am_update", "linearized")

ACCURACY_BEFORE = Quantity("accuracy", "zero_shot")
ACCURACY_ICL = Quantity("accuracy", "in_context")
ACCURACY_FT = Quantity("accuracy", "finetuning")
ACCURACY_LC = Quantity("accuracy", "layer_causal")

RPA = Quantity("rpa", "finetuning")
REC2FTP = Quantity("rec2ftp", "finetuning")

# Words of the papers that none of the claims' common rules stands for
LINEARIZED_TASKS = ("sst2", "sst5", "mr", "subj")
GENERALLY_OF_FOUR = TaskRule(3, of=4)  # as of six, one exception is allowed
SUBJ = ("subj",)
ON_SUBJ = TaskRule(1, of=1)
OF_ANY_TASK = 1 - 0.05 / 6  # confidence of each task's interval where any of the six may hold: Bonferroni's
COMPARABLE = 0.1  # "comparable": a tenth more or less

LOWER_LAYERS, MIDDLE_LAYERS, UPPER_LAYERS = (0.0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1.0)
LOWER_HALF, UPPER_HALF = (0.0, 0.5), (0.5, 1.0)
MIDDLE_HALF, LAST_QUARTER = (0.25, 0.75), (0.75, 1.0)


def denied(comparison: Comparison) -> Comparison:
    """The opposite of what was asked."""
    opposite: dict[Outcome, Outcome] = {"holds": "fails", "fails": "holds"}
    findings = (replace(found, outcome=opposite.get(found.outcome, found.outcome)) for found in comparison.findings)
    return replace(comparison, question=f"not: {comparison.question}", findings=tuple(findings))


def at(quantity: Quantity, layers: tuple[float, float]) -> Quantity:
    """A quantity in some of the layers only."""
    return replace(quantity, layers=layers)


def untrained(quantity: Quantity, study: str = "untrained") -> Quantity:
    """A quantity of a model whose blocks were never trained."""
    return replace(quantity, study=study)


def clipped(metric: str, to: str) -> Quantity:
    """A metric of layer-causal finetuning whose gradients are clipped."""
    return Quantity(metric, f"layer_causal_clip_{to}", study="clips")
