"""Evidence of the authors' own runs: what the logs and result files in their repository hold, under our names.

Differences over their draws have intervals where there are several.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import EVERY_TASK
from icl_claims.evidence.asking import TaskEvidence, over_tasks
from icl_claims.evidence.numbers import STUDENT, Numbers
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.methods import Clipping, Finetuning, LayerCausal, Method
from icl_claims.questions import TRAINED, WHOLE_DEPTH, Compared, Quantity, Side, TwoSided
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.replicates import Replicates, mean_over

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

_METHODS: dict[str, Callable[[str], Method]] = {
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
            scale = 0.01 if name in ("accuracy", "rec2ftp_logged") else 1.0  # percentages
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
    both, correct = count.get("f2t_both"), 0
    if both is not None:
        correct = count["f2t_icl"] + count["f2t_ft"] - both
        yield _share("rec2ftp", both, count["f2t_ft"])
        yield _share("rpa_correct", both, correct)
    if "same_change" in count:
        same, either = count["same_change"], count["changed_icl"] + count["changed_ft"] - count["same_change"]
        yield _share("rpa", same, either)
        yield _share("changed", count["changed_ft"], queries)
        yield _share("changed", count["changed_icl"], queries) | {"method": "in_context"}
        if both is not None:
            yield _share("rpa_incorrect", same - both, either - correct)


def _share(metric: str, counted: int, of: int) -> dict[str, Any]:
    return {"metric": metric, "layer": None, "value": counted / of, "unit": 0.0, "counted": counted, "of": of}


@dataclass(frozen=True)
class _Logged:
    """A number of one log."""

    value: float
    unit: float
    run: str = ""
    precision: str = ""
    log: str = ""
    counted: int = 0
    of: int = 0


@dataclass(frozen=True)
class _Draws:
    """Both sides of a comparison on one task, draw by draw."""

    draws: tuple[tuple[int, int], ...]
    pairs: list[tuple[_Logged, _Logged]]

    @property
    def differences(self) -> list[float]:
        return [mine.value - other.value for mine, other in self.pairs]

    @property
    def replicates(self) -> Replicates:
        """A number for each draw and side. How many draws there are was not ours to choose: they are not looked at."""
        left, right = (np.array([number.value for number in side]) for side in zip(*self.pairs, strict=True))
        return Replicates(self.draws, left, right, looked_at=False)

    def note(self, question: TwoSided) -> str:
        """How many draws there are and agree, and which runs they are from."""
        both, runs = list(zip(*self.pairs, strict=True)), len(self.pairs)
        counts = " and ".join(dict.fromkeys(f"{one.counted} of {one.of}" for side in both for one in side if one.of))
        if runs == 1:
            words = "one run" + (f" ({counts})" if counts else "")
        elif isinstance(question, Compared):
            agree = sum(difference > 0 if question.upwards else difference < 0 for difference in self.differences)
            words = f"{agree} of {runs} runs agree"
        else:
            words = f"{runs} runs"
        sides = [dict.fromkeys(f"{one.run}, {one.precision}" for one in side if one.run) for side in both]
        return f"{words}; " + " against ".join(dict.fromkeys("; ".join(side) for side in sides if side))


@dataclass(frozen=True)
class AuthorRunsEvidence(TaskEvidence):
    """The authors' logs and result files, of the 1.3B model.

    Attention outputs, random updates and SimAM of updates are those of the final results (half precision, three
    draws). Direct SimAM and Rec2FTP of standard finetuning exist in single precision and for one draw of four tasks
    only; direct SimAM of layer-causal finetuning in half precision and for one draw.
    """

    source: str = "author_runs"

    def numbers(self, question: TwoSided, tasks: Sequence[str], errors: Errors) -> Sequence[Numbers]:
        """Quantities over the draws of demonstrations that were run with both, one interval per task.

        Raises:
            ClaimError: No run holds such a quantity.
        """
        known = author_runs()[["metric", "method", "weights"]].drop_duplicates()
        logged = sorted(f"{metric} of {method} ({weights})" for metric, method, weights in known.to_numpy())
        for one in question.quantities:
            if f"{one.metric.name} of {one.method.name} ({one.weights})" not in logged:
                self._refuse(one, logged)
        found = {task: _draws_of(*question.sides, task) for task in tasks}
        counted = [draws for draws in found.values() if draws is not None]
        of_tasks = (_numbers_of(task, draws, question) for task, draws in found.items())
        return [*of_tasks, _together(counted, len(found))]

    def provenance(self) -> dict[str, Any]:
        """What was logged: for each commit the precision, the tasks, and the seeds of its draws."""
        runs = []
        for run, lines in author_runs().groupby("run", sort=False):
            facts = {name: sorted({str(value) for value in lines[name]}) for name in ("precision", "task", "method")}
            seeds = sorted({int(seed) for seed in lines["seed"]})
            runs.append({"run": run, "what": RUNS[str(run)], **facts, "seeds": seeds})
        return {"file": f"fixtures/{RUNS_FILE}", "model": "fairseq dense 1.3B", "runs": runs}


def _numbers_of(task: str, draws: _Draws | None, question: TwoSided) -> Numbers:
    if draws is None:
        return Numbers(task, absent="not logged")
    found = draws.replicates
    return Numbers(task, *found.means, replicates=found, kind=STUDENT, note=draws.note(question))


def _together(tasks: Sequence[_Draws], asked: int) -> Numbers:
    """The mean over tasks, each as heavy as another, draw by draw; undecided if others could turn it."""
    if not tasks:
        return Numbers(EVERY_TASK, absent="no task was logged")
    if len(tasks) < 2:
        return Numbers(EVERY_TASK, note="one task", undecided=True)
    found = mean_over([draws.replicates for draws in tasks])
    note = over_tasks(len(tasks), asked)
    return Numbers(EVERY_TASK, *found.means, replicates=found, kind=STUDENT, note=note, undecided=len(tasks) < asked)


def _draws_of(left: Quantity, side: Side, task: str) -> _Draws | None:
    """The draws that were run with both sides; None where there is none.

    Of what was logged for one draw, it is two numbers of one log, else of one commit, else the first of each.
    """

    def apart(pair: tuple[_Logged, _Logged]) -> tuple[bool, bool]:
        return pair[0].log != pair[1].log, pair[0].run != pair[1].run

    mine = _logged(left, task)
    other = _logged(side, task) if isinstance(side, Quantity) else {draw: [_Logged(float(side), 0.0)] for draw in mine}
    draws = tuple(draw for draw in mine if draw in other)
    pairs = [min(product(mine[draw], other[draw]), key=apart) for draw in draws]
    return _Draws(draws, pairs) if pairs else None


def _logged(quantity: Quantity, task: str) -> dict[tuple[int, int], list[_Logged]]:
    """What was logged of a quantity by draw, a seed and a permutation, in the order of `RUNS`."""
    if quantity.reference is not None:
        return {}
    table = author_runs()
    found = table[(table["task"] == task) & (table["metric"] == quantity.metric.name)]
    found = found[(found["method"] == quantity.method.name) & (found["weights"] == quantity.weights)]
    if quantity.layers != WHOLE_DEPTH:
        first, last = (round(share * LAYERS) for share in quantity.layers)
        found = found[found["layer"].between(first, max(last, first + 1) - 1)]
    else:
        found = found[found["layer"].isna()]
    by_draw: dict[tuple[int, int], list[_Logged]] = {}
    for log, lines in found.groupby("log", sort=False):
        line: pd.Series[Any] = lines.iloc[0]
        value, unit = float(lines["value"].mean()), float(lines["unit"].max())
        counts = [0 if pd.isna(line[name]) else int(line[name]) for name in ("counted", "of")]
        number = _Logged(value, unit, line["run"], line["precision"], str(log), *counts)
        by_draw.setdefault((int(line["seed"]), int(line["permutation"])), []).append(number)
    return by_draw
