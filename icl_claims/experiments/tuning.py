"""Learning rates of finetuning: found for a model and a task on training examples only, written, and read again."""

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy
from filelock import FileLock
from jaxtyping import Float

from icl_claims import errors, methods, metrics, models, protocol
from icl_claims.experiments import batches, profiles, trial
from icl_claims.storage.files import cache_folder, write_atomically
from icl_claims.tasks import Draw, Prompts, Queries, Task, TaskData, build_prompts, shuffle

GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
BEYOND_CHANCE = 0.05  # one-sided, of the exact binomial test of an accuracy against the most frequent label


@dataclass(frozen=True)
class Search:
    """How learning rates are compared.

    Args:
        held_out: training examples, none of them a demonstration, that are answered after each draw.
        grid: the rates, smallest first.
    """

    k: int
    calibration: protocol.Calibration
    seeds: tuple[int, ...] = (101, 102, 103, 104, 105, 106)
    held_out: int = 40
    grid: tuple[float, ...] = GRID

    def __post_init__(self) -> None:
        given = self.seeds and self.grid and min(self.grid) > 0 and self.held_out > 0
        if not given or len({*self.seeds}) < len(self.seeds):
            wanted = "different seeds, rates above 0 and held-out examples"
            raise errors.UsageError("A search for learning rates", expected=wanted, got=f"seeds {self.seeds}")


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Args:
        learning_rate: the most accurate of the grid, the larger of equals.
        accuracies: of each rate, the mean over draws of the share of held-out examples that are answered rightly.
        chance: the share that the most frequent label of the held-out examples has among them.
        asked: how many were answered, in all draws.
    """

    learning_rate: float
    accuracies: Mapping[float, float]
    chance: float
    asked: int

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the rate may not be the best one, in words; none where nothing speaks against it."""
        best, grid = self.accuracies[self.learning_rate], sorted(self.accuracies)
        found = []
        if len(grid) > 1 and self.learning_rate in (grid[0], grid[-1]):
            side = "smallest" if self.learning_rate == grid[0] else "largest"
            found.append(f"{self.learning_rate:g} is the {side} rate that was tried, and the best may lie beyond it")
        if scipy.stats.binom.sf(round(best * self.asked) - 1, self.asked, self.chance) > BEYOND_CHANCE:
            words = f"an accuracy of {best:.2f} is no better than the most frequent label's, {self.chance:.2f}"
            found.append(f"{words}, so that no rate was found to do anything")
        return tuple(found)


def tune(
    model: models.LanguageModel, data: TaskData, search: Search, progress: trial.Progress = lambda _what, _done: None
) -> Tuned:
    """Find a learning rate.

    A rate whose learning diverges has no right answer in that draw. The evaluation set of the task is not read.

    Raises:
        UsageError: the training set is too small.
        PromptError: the task cannot be put to this model.
    """
    shares: dict[float, list[float]] = {rate: [] for rate in search.grid}
    gold: list[int] = []
    for number, seed in enumerate(search.seeds):
        prompts = held_out_prompts(model, data, search, seed)
        gold += prompts.gold
        for place, rate in enumerate(search.grid):
            progress(f"rate {rate:g}, draw {number + 1}", (number + place / len(search.grid)) / len(search.seeds))
            shares[rate].append(_accuracy(model, prompts, rate, search.calibration))
    accuracies = {rate: float(np.mean(of_rate)) for rate, of_rate in shares.items()}
    most_frequent = max(gold.count(label) for label in gold)
    return Tuned(most_accurate(accuracies), accuracies, most_frequent / len(gold), len(gold))


def most_accurate(accuracies: Mapping[float, float]) -> float:
    """The rate of the highest accuracy, the larger of equals."""
    return max(accuracies, key=lambda rate: (round(accuracies[rate], 9), rate))


def held_out_prompts(model: models.LanguageModel, data: TaskData, search: Search, seed: int) -> Prompts:
    """The prompts of one draw: k training examples are learned from, and some of the others are asked.

    Raises:
        UsageError: the training set has no example beside the demonstrations.
    """
    readings = protocol.Protocol(calibration=search.calibration)
    return prompts_apart(model, data, Draw(search.k, seed, queries=search.held_out), readings, beyond=search.k)


def prompts_apart(
    model: models.LanguageModel, data: TaskData, draw: Draw, readings: protocol.Protocol, *, beyond: int
) -> Prompts:
    """The prompts of a draw whose queries are training examples, the first ones `beyond` so many; no other is read.

    Raises:
        UsageError: the training set has no example beyond.
    """
    drawn = shuffle(data.train, draw.seed)
    asked = drawn[beyond:][: draw.queries]
    if not asked:
        raise errors.UsageError(
            f"No training example of {data.task.title} is left to ask",
            expected=f"more than {beyond} training examples",
            got=str(len(data.train)),
            todo="Use fewer demonstrations (⟨k⟩).",
        )
    data = replace(data, train=drawn[: draw.k], validation=asked)
    return build_prompts(data, model.tokens, draw, readings, context_length=model.context_length)


def _accuracy(model: models.LanguageModel, prompts: Prompts, rate: float, calibration: protocol.Calibration) -> float:
    try:
        learned = methods.Finetuning(rate).learn(model, prompts.demonstrations)
        asked, without_content = (answers_of(learned, queries) for queries in (prompts.queries, prompts.content_free))
    except errors.DivergenceError:
        return 0.0
    return float((metrics.predicted_labels(asked, without_content, calibration) == np.array(prompts.gold)).mean())


def answers_of(learned: methods.Learned, queries: Queries) -> Float[np.ndarray, "queries labels"]:
    """Log-probabilities of each label's verbalizer, batch by batch."""
    answers = np.full((len(queries), len(queries.label_ids)), np.nan)

    def answer(batch: list[int], _tokens: int) -> None:
        answers[batch] = learned.answer(queries.some(batch)).log_probabilities.cpu().double().numpy()

    batches.in_batches(queries, answer)
    return answers


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of finetuning, and where they come from, for reports."""

    by_task: Mapping[str, float]
    origin: str

    def including(self, profile: profiles.Profile, tasks: Iterable[Task]) -> Self:
        """The rates of these tasks too: each task's own under the profile, else the median of the profile's."""
        more = {task.name: task.learning_rates.get(profile.name) for task in tasks if task.name not in self.by_task}
        own = {name: rate for name, rate in more.items() if rate is not None}
        median, origin = statistics.median(profile.learning_rates.values()), self.origin
        other = {name: median for name in more if name not in own}
        for words, found in (("the task's own", own), (f"the median of the profile {profile.name}", other)):
            origin += f"; {words} for {', '.join(found)}" if found else ""
        return replace(self, by_task={**self.by_task, **own, **other}, origin=origin)


def rates_file(digest: str) -> Path:
    """Where the rates of a model are kept in the cache."""
    return cache_folder() / "learning_rates" / f"{digest}.json"


def learning_rates(
    profile: profiles.Profile, digest: str, *, own_model: bool, file: Path | None = None
) -> LearningRates:
    """The learning rates of a model under a profile.

    Args:
        profile: gives the rates of its own model, and of tasks for which none was found.
        digest: of the model.
        own_model: whether the model is the profile's.

        file: that `icl-claims tune --write` wrote; by default the one in the cache, if there is one.

    Raises:
        UsageError: the named file is not there, or is about another model.
        StoreError: the file cannot be read.
    """
    if file is None and own_model:
        return LearningRates(profile.learning_rates, f"of the profile {profile.name}")
    found = read_rates(file or rates_file(digest))
    if file is not None and found.get("model") != digest:
        raise errors.UsageError(
            f"The learning rates in {file} are not of this model",
            expected=f"a file about the model {digest[:12]}",
            got=f"one about {str(found['model'])[:12]}" if found else "no such file",
            todo="Find its own with `icl-claims tune`.",
        )
    tuned = {task: float(entry["learning_rate"]) for task, entry in found.get("tasks", {}).items()}
    origin = f"of the profile {profile.name}, found for another model; `icl-claims tune` finds its own"
    if tuned:
        origin = f"found for this model on training examples ({file or rates_file(digest)})"
        entries = found["tasks"].items()
        origin += "".join(f"; {task}: {doubt}" for task, entry in entries for doubt in entry.get("doubts", ()))
        if missing := sorted(set(profile.learning_rates) - set(tuned)):
            origin += f"; of the profile {profile.name} for {', '.join(missing)}"
    return LearningRates({**profile.learning_rates, **tuned}, origin)


def read_rates(file: Path) -> dict[str, Any]:
    """What `icl-claims tune` wrote: the model's digest, and an entry for each task; empty where there is no file.

    Raises:
        StoreError: the file is damaged.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        rates = [float(entry["learning_rate"]) for entry in found["tasks"].values()]
        if not isinstance(found["model"], str) or not all(rate > 0 for rate in rates):
            raise ValueError("a model that is no text, or a rate that is not above 0")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.StoreError(
            f"The learning rates in {file} cannot be read",
            expected="the JSON that `icl-claims tune` writes",
            got=f"{type(error).__name__}: {error}",
            todo="Delete the file, and run `icl-claims tune` again.",
        ) from error
    return dict(found)


def write_rates(file: Path, digest: str, name: str, tasks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the rates of some tasks; those of other tasks of the same model stay.

    Raises:
        StoreError: the file cannot be written, or one that lies there cannot be read.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock")):
            before = read_rates(file)
            kept = before["tasks"] if before.get("model") == digest else {}
            content = {"model": digest, "name": name, "tasks": {**kept, **tasks}}
            write_atomically(file, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        problem, got = f"The learning rates cannot be written to {file}", error.strerror or str(error)
        todo = "Name another file, or another cache with ICL_CLAIMS_CACHE."
        raise errors.StoreError(problem, got=got, todo=todo) from error
