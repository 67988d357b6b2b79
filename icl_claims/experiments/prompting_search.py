"""How a model is prompted: k, separator and calibration, compared by what it learns in context on training examples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

import numpy as np

from icl_claims import errors, methods, metrics, models, protocol
from icl_claims.experiments import trial, tuning
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.statistics.error_rates import ALLOWED
from icl_claims.statistics.replicates import Replicates
from icl_claims.tasks import Draw, Prompts, TaskData, separator_tokens


@dataclass(frozen=True)
class Prompting:
    """One way to prompt."""

    k: int
    separator: protocol.Separator
    calibration: protocol.Calibration


@dataclass(frozen=True)
class PromptingSearch:
    """Which ways to prompt are compared, and on what.

    Args:
        held_out: training examples, none of them a demonstration of any k, that are asked in each draw, at most.
        batch: how many of them are calibrated together, as many as a trial asks.
    """

    ks: tuple[int, ...] = (4, 8, 16, 32)
    separators: tuple[protocol.Separator, ...] = get_args(protocol.Separator)
    calibrations: tuple[protocol.Calibration, ...] = get_args(protocol.Calibration)
    seeds: tuple[int, ...] = tuple(range(101, 113))
    held_out: int = 64
    batch: int = 16

    def __post_init__(self) -> None:
        for separator, calibration in product(self.separators, self.calibrations):
            protocol.Protocol(separator=separator, calibration=calibration)
        many = (self.ks, self.separators, self.calibrations, self.seeds)
        if not all(one and len({*one}) == len(one) for one in many) or min(*self.ks, self.held_out, self.batch) < 1:
            wanted = "some different k above 0, separators, calibrations and seeds, and held-out examples"
            got = f"k {self.ks}, {self.separators}, {self.calibrations}, seeds {self.seeds}, {self.held_out} held out"
            raise errors.UsageError("A search for a way to prompt", expected=wanted, got=got)

    def prompts(
        self, model: models.LanguageModel, data: TaskData, seed: int, k: int, separator: protocol.Separator
    ) -> Prompts:
        """What is said in one draw: every k and separator is asked the same training examples.

        Raises:
            UsageError: the training set has no example beside the demonstrations.
            PromptError: the task cannot be put to this model.
        """
        readings = protocol.Protocol(calibration="contextual", separator=separator)
        return tuning.prompts_apart(model, data, Draw(k, seed, queries=self.held_out), readings, beyond=max(self.ks))

    def check(self, model: models.LanguageModel, data: TaskData) -> None:
        """Check that a task can be put to a model in this way.

        Raises:
            UsageError: the training set has no example beside the demonstrations.
            PromptError: the task cannot be put to this model.
        """
        for separator in separators_of(model, data, self.separators):
            self.prompts(model, data, self.seeds[0], max(self.ks), separator)


@dataclass(frozen=True)
class Learning:
    """What one way to prompt comes to on a task.

    Args:
        in_context: accuracy, the mean over draws.
        zero_shot: that without demonstrations, calibrated alike.
        most_frequent: the share of the most frequent label among all held-out examples.
        p_value: of in-context accuracy above both others, the larger of two, by Student's t of the draws, whose number
            is fixed beforehand. It knows nothing of how many ways to prompt were compared.
    """

    in_context: float
    zero_shot: float
    most_frequent: float
    p_value: float

    @property
    def margin(self) -> float:
        """By how much in-context learning beats the better of the others."""
        return self.in_context - max(self.zero_shot, self.most_frequent)

    @property
    def learns(self) -> bool:
        """Whether in-context learning is shown to beat both."""
        return self.p_value <= ALLOWED


def separators_of(
    model: models.LanguageModel, data: TaskData, among: tuple[protocol.Separator, ...]
) -> dict[protocol.Separator, tuple[int, ...]]:
    """The separators that a model can write, each with its tokens; of those with the same tokens the first.

    Raises:
        PromptError: it can write none of them.
    """
    found: dict[protocol.Separator, tuple[int, ...]] = {}
    refusals = []
    for separator in among:
        try:
            tokens = separator_tokens(data.task, model.tokens, separator)
        except errors.PromptError as error:
            refusals.append(error)
        else:
            if tokens not in found.values():
                found[separator] = tokens
    if not found:
        raise refusals[0]
    return found


def learning_by_prompting(
    model: models.LanguageModel,
    data: TaskData,
    search: PromptingSearch,
    progress: trial.Progress = lambda _what, _done: None,
) -> dict[Prompting, Learning]:
    """What every way to prompt comes to on a task; its evaluation set is not read.

    Raises:
        UsageError: the training set is too small.
        PromptError: the task cannot be put to this model.
    """
    prompted = tuple(product(search.ks, separators_of(model, data, search.separators)))
    right: dict[tuple[int, str, protocol.Calibration], list[np.ndarray]] = {}
    before: dict[protocol.Calibration, list[np.ndarray]] = {}
    gold: list[np.ndarray] = []
    for number, seed in enumerate(search.seeds):
        for place, (k, separator) in enumerate(prompted):
            progress(f"k {k}, {separator}, draw {number + 1}", (number + place / len(prompted)) / len(search.seeds))
            prompts = search.prompts(model, data, seed, k, separator)
            if not place:
                gold.append(np.array(prompts.gold))
                for calibration, column in _right(model, prompts, ZERO_SHOT, search).items():
                    before.setdefault(calibration, []).append(column)
            for calibration, column in _right(model, prompts, IN_CONTEXT, search).items():
                right.setdefault((k, separator, calibration), []).append(column)
    most_frequent = np.bincount(np.concatenate(gold)).argmax()
    guessed = [(labels == most_frequent).astype(float) for labels in gold]
    return {
        Prompting(k, separator, calibration): _learning(
            search.seeds, right[k, separator, calibration], before[calibration], guessed
        )
        for k, separator in prompted
        for calibration in search.calibrations
    }


def _right(
    model: models.LanguageModel, prompts: Prompts, method: methods.Method, search: PromptingSearch
) -> dict[protocol.Calibration, np.ndarray]:
    """Whether each query is answered right, by calibration."""
    learned, gold = method.learn(model, prompts.demonstrations), np.array(prompts.gold)
    asked, without_content = (tuning.answers_of(learned, one) for one in (prompts.queries, prompts.content_free))
    batches = np.array_split(asked, math.ceil(len(asked) / search.batch))
    labels = {
        calibration: [metrics.predicted_labels(batch, without_content, calibration) for batch in batches]
        for calibration in search.calibrations
    }
    return {how: metrics.accuracy.values(np.concatenate(of_batches), gold) for how, of_batches in labels.items()}


def _learning(
    seeds: tuple[int, ...], right: list[np.ndarray], before: list[np.ndarray], guessed: list[np.ndarray]
) -> Learning:
    draws = [(seed, 0) for seed in seeds]
    compared = (Replicates.of_columns(draws, right, other, bounds=(-1.0, 1.0)) for other in (before, guessed))
    p_values = [replace(one, looked_at=False).contrast().p_above() for one in compared]
    in_context, zero_shot, most_frequent = (
        float(np.mean([column.mean() for column in columns])) for columns in (right, before, guessed)
    )
    return Learning(in_context, zero_shot, most_frequent, max(1.0 if p is None else p for p in p_values))


def learned_tasks(found: Mapping[str, Mapping[Prompting, Learning]], way: Prompting) -> tuple[str, ...]:
    """The tasks on which in-context learning is shown to beat both chance and zero-shot."""
    return tuple(task for task, by_prompting in found.items() if way in by_prompting and by_prompting[way].learns)


def mean_margin(found: Mapping[str, Mapping[Prompting, Learning]], way: Prompting) -> float:
    """The mean over tasks of the margin."""
    return float(np.mean([by_prompting[way].margin for by_prompting in found.values() if way in by_prompting]))


def ranked(found: Mapping[str, Mapping[Prompting, Learning]]) -> tuple[Prompting, ...]:
    """All ways to prompt that every task was prompted in, best first.

    By the number of tasks that are learned in context, then by the mean margin; of equals the first one tried.
    """
    first, *others = found.values()
    common = [way for way in first if all(way in other for other in others)]
    return tuple(
        sorted(
            common, key=lambda way: (len(learned_tasks(found, way)), round(mean_margin(found, way), 9)), reverse=True
        )
    )
