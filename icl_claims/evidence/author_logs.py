"""The authors' own runs as one table, under our names: what the logs and result files in their repository hold."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pandas as pd

from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.methods import Clipping, Finetuning, LayerCausal, Method
from icl_claims.questions import TRAINED

RUNS_FILE = "published/author_runs.csv"
LAYERS = 24  # of the 1.3B model
RUNS = {
    "739958f": "the final results, as JSON: standard and layer-causal finetuning, three draws each",
    "a239606": "logs of layer-causal finetuning, one draw: the layer-causal and zero-shot rows of table 2",
    "71c9116": "logs of standard finetuning, one draw; those of AGNews and CB ran out of memory",
    "22784bb": "logs of layer-causal finetuning on Subj, clipped at nine norms: table 3 is the one at 12",
    "66ed03a": "logs of layer-causal finetuning on SST2, SST5 and MR, clipped at 12",
    "c5be4ba": "log of layer-causal finetuning on Subj, each layer's gradients clipped at 1",
    "f05b53f": "log of layer-causal finetuning on Subj, each layer clipped to a norm of standard finetuning",
    "2d0a3f2": "training log of the same, with accuracies",
    "005d8a6": "logs of standard finetuning, one draw; prediction changes on SST2",
    "cf9dc4b": "logs of layer-causal finetuning with prediction changes, other draws",
    "1952ce3": "logs of standard finetuning of untrained models, three draws",
}
"""What each commit adds, the first being taken where several hold a number of one draw."""

_Named = Callable[[str], Method]
_METHODS: dict[str, _Named] = {
    "ft": lambda _clip: Finetuning(),
    "ft_untrained": lambda _clip: Finetuning(),
    "ft_untrained_layer_norm_only": lambda _clip: Finetuning(),
    "layer_causal_ft": lambda _clip: LayerCausal(),
    "layer_causal_ft_clipped": lambda clip: LayerCausal(clip=Clipping(at=float(clip))),
    "layer_causal_ft_clipped_per_layer": lambda clip: LayerCausal(clip=Clipping(float(clip), "layer_l2")),
    "layer_causal_ft_clipped_to_std_ft_norms": lambda _clip: LayerCausal(clip=Clipping(norm="finetuning")),
}
_WEIGHTS = {"ft_untrained": "embeddings_norms_head", "ft_untrained_layer_norm_only": "norms"}
_LOGGED = {
    "sim_aou": ("sim_aou", None),
    "sim_aou_random": ("sim_aou", "random_update"),
    "sim_am": ("sim_am", None),
    "sim_am_zsl": ("sim_am", "zero_shot"),
    "sim_am_update": ("sim_am_update", None),
    "rec2ftp": ("rec2ftp_logged", None),
    "accuracy_ft": ("accuracy", None),
    "accuracy_icl": ("accuracy", "in_context"),
    "accuracy_zsl": ("accuracy", "zero_shot"),
}
"""Their name of a metric: ours, and the method it belongs to where that is not the finetuned one."""
_PERCENTAGES = ("accuracy", "rec2ftp_logged")
_LOG = ["run", "precision", "task", "method", "clip_norm", "seed", "permutation"]


@cache
def author_runs() -> pd.DataFrame:
    """The runs: run, precision, log, task, weights, method, metric, seed, permutation, layer, value, unit, counted, of.

    A row is an overall number, or that of a layer (counted from 0; missing for overall ones). `run` is the commit and
    `log` the file of it; `unit` is the worth of the last logged digit, 0 where the number is a share: `counted`
    of `of` queries. Percentages are fractions. The rows of the runs come in the order of `RUNS`.
    """
    logged = pd.read_csv(fixtures_folder() / RUNS_FILE, dtype={"value": str, "clip_norm": str})
    logged["clip_norm"] = logged["clip_norm"].fillna("")
    rows: list[dict[str, Any]] = []
    for (run, precision, task, theirs, clip, seed, permutation), lines in logged.groupby(_LOG, sort=False):
        method = str(theirs)
        of_log = {
            "run": run,
            "precision": precision,
            "log": f"{run} {task} {method} {clip} {seed}",
            "task": task,
            "weights": _WEIGHTS.get(method, TRAINED),
            "seed": seed,
            "permutation": permutation,
        }
        tuned = _METHODS[method](str(clip)).name
        rows += [of_log | {"method": tuned} | row for row in (*_similarities(lines), *_of_predictions(lines))]
    table = pd.DataFrame(rows).astype({"layer": "Int64", "counted": "Int64", "of": "Int64"})
    return table.sort_values("run", key=lambda runs: runs.map(list(RUNS).index), kind="stable", ignore_index=True)


def _similarities(lines: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The numbers that a log prints as they are."""
    for metric, layer, text in zip(lines["metric"], lines["layer"], lines["value"], strict=True):
        if metric in _LOGGED:
            name, other = _LOGGED[metric]
            scale = 0.01 if name in _PERCENTAGES else 1.0
            unit = scale * 10.0 ** -len(text.partition(".")[2])
            row = {"metric": name, "layer": layer, "value": scale * float(text), "unit": unit}
            yield row if other is None else row | {"method": other}


def _of_predictions(lines: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The shares that follow from the counts of a log.

    Of `f2t` queries the zero-shot prediction is wrong and that of finetuning, of in-context learning or of both is
    right; `changed` are all changed ones, and `same` those that both change to the same label.
    """
    counted = lines[lines["metric"].str.startswith("n_")]
    count = dict(zip(counted["metric"].str.removeprefix("n_"), counted["value"].astype(int), strict=True))
    queries = int(lines["n_eval"].max()) if lines["n_eval"].notna().any() else 0
    if "f2t_both" in count:
        both, either = count["f2t_both"], count["f2t_icl"] + count["f2t_ft"] - count["f2t_both"]
        yield _share("rec2ftp", both, count["f2t_ft"])
        yield _share("rpa_correct", both, either)
    if "same_change" in count:
        same, either = count["same_change"], count["changed_icl"] + count["changed_ft"] - count["same_change"]
        yield _share("rpa", same, either)
        yield _share("changed", count["changed_ft"], queries)
        yield _share("changed", count["changed_icl"], queries) | {"method": "in_context"}
        if "f2t_both" in count:
            correct = count["f2t_icl"] + count["f2t_ft"] - count["f2t_both"]
            yield _share("rpa_incorrect", same - count["f2t_both"], either - correct)


def _share(metric: str, counted: int, of: int) -> dict[str, Any]:
    return {"metric": metric, "layer": None, "value": counted / of, "unit": 0.0, "counted": counted, "of": of}
