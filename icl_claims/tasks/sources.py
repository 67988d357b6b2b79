"""Where the examples of a run come from: files, or invented words that mean nothing until a prompt says so."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path
from zlib import crc32

import numpy as np
from jaxtyping import Int

from icl_claims.errors import DataError
from icl_claims.tasks import catalogue, examples, hub

NEUTRAL_WORDS, CLASS_WORDS = 24, 48
ROWS = {"train": 240, "validation": 128}
NO_WORD = -1


@dataclass(frozen=True)
class TextShape:
    """How a text of a class is drawn: some words of its class among words of no class, in any order.

    Args:
        vocabulary: how many words each class has.
        class_words: fewest and most of them in one text, all different.
        neutral_words: fewest and most words of no class.
    """

    vocabulary: int = 4
    class_words: tuple[int, int] = (1, 3)
    neutral_words: tuple[int, int] = (2, 4)


TEXTS = TextShape()
_SYLLABLES = ("za", "mu", "ke", "lo", "vi", "do", "ri", "fe", "gu", "pa", "no", "ti", "be")
_PAIRS = (f"{one}{other}{end}" for end, one, other in product("kv", _SYLLABLES, _SYLLABLES) if one != other)
WORDS = tuple(islice(_PAIRS, NEUTRAL_WORDS + CLASS_WORDS))
"""Neutral words first, then words of classes; none is a word of English or of a template."""


def draw_classes(
    rng: np.random.Generator, prompts: int, labels: int, vocabulary: int
) -> Int[np.ndarray, "prompts labels vocabulary"]:
    """The words of each class, drawn anew for every prompt, as indices of `WORDS`; no two classes share one."""
    indices = np.tile(np.arange(NEUTRAL_WORDS, len(WORDS)), (prompts, 1))
    drawn = rng.permuted(indices, axis=1)[:, : labels * vocabulary]
    return drawn.reshape(prompts, labels, vocabulary)


def draw_texts(
    rng: np.random.Generator,
    shape: TextShape,
    classes: Int[np.ndarray, "prompts labels vocabulary"],
    chosen: Int[np.ndarray, "prompts texts"],
) -> Int[np.ndarray, "prompts texts slots"]:
    """A text of the chosen class for every place, as indices of `WORDS` in order; `NO_WORD` fills the ends."""
    vocabulary = np.take_along_axis(classes, chosen[:, :, None], axis=1)
    parts = [
        _keep(rng, rng.permuted(vocabulary, axis=2)[:, :, : shape.class_words[1]], shape.class_words),
        _keep(rng, rng.integers(0, NEUTRAL_WORDS, (*chosen.shape, shape.neutral_words[1])), shape.neutral_words),
    ]
    words = np.concatenate(parts, axis=2)
    order = np.argsort(rng.random(words.shape) + (words == NO_WORD), axis=2)
    return np.take_along_axis(words, order, axis=2)


def _keep(
    rng: np.random.Generator, words: Int[np.ndarray, "prompts texts slots"], between: tuple[int, int]
) -> Int[np.ndarray, "prompts texts slots"]:
    kept = rng.integers(between[0], between[1] + 1, words.shape[:2])
    return np.where(np.arange(words.shape[2]) < kept[:, :, None], words, NO_WORD)


def synthetic_task(task: catalogue.Task | str) -> examples.TaskData:
    """The examples of a task, or of the known task of a name, in invented words, the same on every machine.

    A label of these examples is a class that is told by its words. Which verbalizer stands for it is drawn anew for
    every trial (`TaskData.for_trial`), so that only demonstrations can say.

    >>> task = synthetic_task("sst2")
    >>> task.task.prompt(task.train[0].fields)
    'Sentence: dobek munok kefek zalok Label:'

    Raises:
        DataError: the task has more labels than there are words for.
    """
    task = catalogue.known_task(task) if isinstance(task, str) else task
    if task.labels * TEXTS.vocabulary > CLASS_WORDS:
        most = CLASS_WORDS // TEXTS.vocabulary
        raise DataError(
            f"{task.title} has too many labels for invented words", expected=f"at most {most}", got=str(task.labels)
        )
    rng = np.random.default_rng(crc32(task.name.encode()))
    classes = draw_classes(rng, 1, task.labels, TEXTS.vocabulary)
    splits: dict[str, tuple[examples.Example, ...]] = {}
    for split, rows in ROWS.items():
        labels = rng.permutation(np.arange(rows) % task.labels)
        texts = {field: draw_texts(rng, TEXTS, classes, labels[None])[0] for field in task.fields}
        splits[split] = tuple(
            examples.Example({field: written(drawn[row]) for field, drawn in texts.items()}, int(label), row)
            for row, label in enumerate(labels)
        )
    content = {split: [(example.fields, example.label) for example in rows] for split, rows in splits.items()}
    digest = hashlib.sha256(
        json.dumps(["labels redrawn", content, examples.what_prompts_it(task)], sort_keys=True).encode()
    ).hexdigest()
    return examples.TaskData(task, splits["train"], splits["validation"], "synthetic", digest, redraws_labels=True)


def written(text: Int[np.ndarray, " slots"]) -> str:
    """The words of a text, with blanks between."""
    return " ".join(WORDS[word] for word in text if word != NO_WORD)


def vocabulary() -> tuple[str, ...]:
    """Every word and mark of the papers' tasks' templates and verbalizers, then the invented words."""
    tasks = [catalogue.TASKS[name] for name in catalogue.PAPERS_TASKS]
    without_content = (task.prompt(dict.fromkeys(task.fields, "")) for task in tasks)
    said = (*without_content, *(word for task in tasks for word in task.verbalizers))
    marks = dict.fromkeys(mark for text in said for mark in re.findall(r"\w+|[^\w\s]", text))
    return (*marks, *WORDS)


ENVIRONMENT = "ICL_CLAIMS_DATA"


@dataclass(frozen=True)
class DataSource:
    """Gives the examples of every task."""

    name: str
    read: Callable[[catalogue.Task], examples.TaskData]


MINIATURE = DataSource("miniature tasks", partial(examples.read_task, directory=None))
SYNTHETIC = DataSource("synthetic tasks of invented words", synthetic_task)


def real_tasks(directory: Path) -> DataSource:
    """The tasks in a data directory, or on the Hugging Face Hub if that is its name.

    Raises:
        DataError: it is not a folder.
    """
    if directory == Path(hub.HUB):
        return DataSource("the real tasks on the Hugging Face Hub", hub.read_from_hub)
    if not directory.is_dir():
        wanted, todo = "one with a folder per task, or hub", f"Check ⟨data⟩ and the environment variable {ENVIRONMENT}."
        raise DataError("The data directory is no folder", expected=wanted, got=str(directory), todo=todo)
    return DataSource(f"the real tasks in {directory}", partial(examples.read_task, directory=directory))


def named_directory(chosen: str | Path | None, source: DataSource) -> Path | None:
    """The data directory that the reader chose, to take the place of a source; None if none was.

    The environment variable `ICL_CLAIMS_DATA` stands in for miniature tasks only, as the words of the others are not
    those of a language.
    """
    named = chosen or (os.environ.get(ENVIRONMENT) if source is MINIATURE else None)
    return Path(named).expanduser() if named else None
