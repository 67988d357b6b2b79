"""Find the learning rate of finetuning for a model and a task, on training examples only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from icl_claims.errors import DivergenceError, UsageError
from icl_claims.experiments.batches import Batches
from icl_claims.experiments.trial import Progress
from icl_claims.methods import Finetuning, Learned
from icl_claims.metrics import predicted_labels
from icl_claims.models import LanguageModel
from icl_claims.protocol import Calibration, Protocol
from icl_claims.tasks import Draw, Prompts, Queries, TaskData, build_prompts, shuffle

GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SEEDS = (101, 102, 103)
HELD_OUT = 40


@dataclass(frozen=True)
class Search:
    """How learning rates are compared.

    Args:
        held_out: training examples, none of them a demonstration, that are answered after each draw.
        grid: the rates, smallest first.
    """

    k: int
    calibration: Calibration
    seeds: tuple[int, ...] = SEEDS
    held_out: int = HELD_OUT
    grid: tuple[float, ...] = GRID

    def __post_init__(self) -> None:
        if not self.seeds or not self.grid or min(self.grid) <= 0 or self.held_out < 1:
            raise UsageError("A search for learning rates", expected="seeds, rates above 0 and held-out examples")


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Args:
        learning_rate: the most accurate of the grid, the larger of equals.
        accuracies: of each rate, the mean over draws of the share of held-out examples that are answered rightly.
    """

    learning_rate: float
    accuracies: Mapping[float, float]


def tune(model: LanguageModel, data: TaskData, search: Search, progress: Progress = lambda _what, _done: None) -> Tuned:
    """Find a learning rate.

    A rate whose learning diverges has no right answer in that draw. The evaluation set of the task is not read.

    Raises:
        UsageError: the training set is too small.
        PromptError: the task cannot be put to this model.
    """
    shares: dict[float, list[float]] = {rate: [] for rate in search.grid}
    for number, seed in enumerate(search.seeds):
        prompts = held_out_prompts(model, data, search, seed)
        for place, rate in enumerate(search.grid):
            progress(f"rate {rate:g}, draw {number + 1}", (number + place / len(search.grid)) / len(search.seeds))
            shares[rate].append(_accuracy(model, prompts, rate, search.calibration))
    accuracies = {rate: float(np.mean(of_rate)) for rate, of_rate in shares.items()}
    return Tuned(most_accurate(accuracies), accuracies)


def most_accurate(accuracies: Mapping[float, float]) -> float:
    """The rate of the highest accuracy, the larger of equals."""
    return max(accuracies, key=lambda rate: (round(accuracies[rate], 9), rate))


def held_out_prompts(model: LanguageModel, data: TaskData, search: Search, seed: int) -> Prompts:
    """The prompts of one draw: k training examples are learned from, and some of the others are asked.

    Raises:
        UsageError: the training set has no example beside the demonstrations.
    """
    drawn = shuffle(data.train, seed)
    shown, asked = drawn[: search.k], drawn[search.k : search.k + search.held_out]
    if not asked:
        raise UsageError(
            f"No training example of {data.task.title} is left to compare learning rates on",
            expected=f"more than {search.k} training examples",
            got=str(len(data.train)),
            todo="Use fewer demonstrations (⟨k⟩).",
        )
    return build_prompts(
        replace(data, train=shown, validation=asked),
        model.tokens,
        Draw(search.k, seed),
        Protocol(calibration=search.calibration),
        context_length=model.context_length,
    )


def _accuracy(model: LanguageModel, prompts: Prompts, rate: float, calibration: Calibration) -> float:
    try:
        learned = Finetuning(rate).learn(model, prompts.demonstrations)
        asked, without_content = (_answers(learned, queries) for queries in (prompts.queries, prompts.content_free))
    except DivergenceError:
        return 0.0
    return float((predicted_labels(asked, without_content, calibration) == np.array(prompts.gold)).mean())


def _answers(learned: Learned, queries: Queries) -> np.ndarray:
    answers = np.full((len(queries), len(queries.label_ids)), np.nan)
    batches = Batches(queries)
    for batch in batches:
        with batches.halving():
            answers[batch] = learned.answer(queries.some(batch)).log_probabilities.cpu().double().numpy()
    return answers
