"""The printed names of metrics, methods, sources and tasks."""

from __future__ import annotations

import re

from icl_claims.tasks.catalogue import TASKS

METRICS = {
    "accuracy": "accuracy",
    "changed": "share of changed predictions",
    "rec2ftp": "Rec2FTP",
    "rpa": "RPA",
    "rpa_correct": "RPA-correct",
    "rpa_incorrect": "RPA-incorrect",
    "sim_aou": "SimAOU",
    "sim_am": "SimAM",
    "sim_am_update": "SimAM of updates",
}
METHODS = {
    "zero_shot": "zero-shot",
    "in_context": "in-context learning",
    "finetuning": "finetuning",
    "layer_causal": "layer-causal finetuning",
    "layer_causal_sequential": "sequential layer-causal finetuning",
    "layer_causal_norm_matched": "norm-matched layer-causal finetuning",
    "layer_causal_clipped": "clipped layer-causal finetuning",
    "layer_causal_clip_to_finetuning": "layer-causal finetuning clipped to the norms of finetuning",
    "linearized": "linearized finetuning",
    "random_update": "a random update",
}
_PREFIXES = (
    ("gaussian_of_", "a Gaussian update of the norm of {}"),
    ("other_query_of_", "another query's update of {}"),
    ("layer_causal_clip_", "layer-causal finetuning clipped at {}"),
    ("finetuning_clip_", "finetuning clipped at {}"),
)
SOURCE_NAMES = {"exact": "exact", "printed": "printed", "author_runs": "author runs", "trials": "trials"}


def metric_name(metric: str) -> str:
    """The printed name of a metric."""
    return METRICS.get(metric, metric.replace("_", " "))


def method_name(method: str) -> str:
    """The printed name of a method, a control or a null."""
    if method in METHODS:
        return METHODS[method]
    for prefix, words in _PREFIXES:
        if method.startswith(prefix):
            return words.format(method_name(method.removeprefix(prefix)))
    return method.replace("_", " ")


def quantity_name(quantity: str) -> str:
    """A quantity in words: `sim_aou of layer_causal` is `SimAOU of layer-causal finetuning`; a number stays one."""
    metric, method = split_quantity(quantity)
    return f"{metric_name(metric)} of {method_name(method)}" if method else quantity


def split_quantity(quantity: str) -> tuple[str, str]:
    """Metric and method of a quantity; the whole text and nothing where it is not of that form."""
    found = re.fullmatch(r"(\w+) of (\w+)", quantity)
    return (found[1], found[2]) if found else (quantity, "")


def task_name(task: str) -> str:
    """The papers' name of a task; any other as it is."""
    return TASKS[task].title if task in TASKS else task


def paper_name(paper: str) -> str:
    """The short name of a paper: `von_oswald` is `Von Oswald`."""
    return " ".join(word[:1].upper() + word[1:] for word in paper.split("_"))


def source_name(source: str, profile: str = "") -> str:
    """A source of evidence, with the profile of its trials."""
    return SOURCE_NAMES.get(source, source) + (f", {profile}" if profile else "")
