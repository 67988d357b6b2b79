"""The printed names of papers, sources, tasks, metrics, methods and quantities."""

from __future__ import annotations

import re

from icl_claims.tasks.catalogue import TASKS

METRICS = {
    "accuracy": "accuracy",
    "changed": "share of changed predictions",
    "drift": "drift of the weights",
    "gradient_norm": "gradient norm",
    "lens_loss": "loss of the logit lens",
    "log_gradient_ratio": "log ratio of gradient norms",
    "first_log_gradient_ratio": "log ratio of gradient norms at the first step",
    "most_frequent_label": "share of the most frequent prediction",
    "order_spread": "spread over orders",
    "rec2ftp": "Rec2FTP",
    "rpa": "RPA",
    "rpa_correct": "RPA-correct",
    "rpa_incorrect": "RPA-incorrect",
    "sim_aou": "SimAOU",
    "sim_aou_unnormalised": "SimAOU without normalisation",
    "sim_am": "SimAM",
    "sim_am_update": "SimAM of updates",
    "kendall": "Kendall's tau",
}
METHODS = {
    "zero_shot": "zero-shot",
    "in_context": "in-context learning",
    "finetuning": "finetuning",
    "layer_causal": "layer-causal finetuning",
    "layer_causal_sequential": "sequential layer-causal finetuning",
    "layer_causal_norm_matched": "norm-matched layer-causal finetuning",
    "layer_causal_clip_to_finetuning": "layer-causal finetuning clipped to the norms of finetuning",
    "linearized": "linearized finetuning",
    "random_update": "a random update",
    "demonstration_lengths": "the lengths of the demonstrations",
}
SOURCE_NAMES = {"exact": "exact", "printed": "printed", "author_runs": "author runs", "trials": "trials"}
_PREFIXES = (
    ("gaussian_of_", "a Gaussian update as long as that of {}"),
    ("other_query_of_", "another query's update by {}"),
    ("layer_causal_clip_", "layer-causal finetuning clipped at {}"),
    ("finetuning_clip_", "finetuning clipped at {}"),
)
_QUANTITY = re.compile(r"\b(\w+) of ([\w.]*\w)(?: against ([\w.]*\w))?")
_TASK = re.compile(rf"\b({'|'.join(TASKS)})\b")


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


def in_print(text: str) -> str:
    """A text with every metric, method and task under its printed name.

    `sim_aou of layer_causal above 0.1, mr` is `SimAOU of layer-causal finetuning above 0.1, MR`.
    """
    return _TASK.sub(lambda found: task_name(found[1]), _QUANTITY.sub(_named, text))


def split_quantity(quantity: str) -> tuple[str, str]:
    """Metric and the rest of a quantity, both under their printed names; all of it and nothing where it is another."""
    found = _QUANTITY.match(quantity)
    if found is None or found[1] not in METRICS:
        return quantity, ""
    return metric_name(found[1]), in_print(quantity).removeprefix(f"{metric_name(found[1])} of ")


def task_name(task: str) -> str:
    """The papers' name of a task; any other as it is."""
    return TASKS[task].title if task in TASKS else task


def paper_name(paper: str) -> str:
    """The short name of a paper: `von_oswald` is `Von Oswald`."""
    return " ".join(word[:1].upper() + word[1:] for word in paper.split("_"))


def source_name(source: str, profile: str = "") -> str:
    """A source of evidence, with the profile of its trials."""
    return SOURCE_NAMES.get(source, source) + (f", {profile}" if profile else "")


def _named(found: re.Match[str]) -> str:
    metric, method, reference = found.groups()
    if metric not in METRICS:
        return found[0]
    return f"{metric_name(metric)} of {method_name(method)}" + (
        f" against {method_name(reference)}" if reference else ""
    )
