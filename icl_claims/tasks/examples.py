"""The examples of a task: read from JSON Lines, and drawn exactly as the authors' code drew them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from icl_claims.errors import DataError, UsageError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.storage.source_code import own_source
from icl_claims.tasks.catalogue import Task, known_task
from icl_claims.tasks.hub_dataset import rows_digest


@dataclass(frozen=True)
class Example:
    """One example: its text fields, its label, and its 0-based row in the file."""

    fields: dict[str, str]
    label: int
    row: int


@dataclass(frozen=True)
class TaskData:
    """The examples of one task.

    Args:
        source: `miniature`, `directory`, `hub` or `synthetic`.
        redraws_labels: whether every trial still draws which label each class has.
    """

    task: Task
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    source: str
    digest: str
    redraws_labels: bool = False

    def for_trial(self, seed: int) -> Self:
        """The examples as the trial of a seed sees them: with its own label for each class, where those are redrawn.

        They are redrawn once: what a trial sees is the same to every further trial.
        """
        if not self.redraws_labels:
            return self
        labels = [int(label) for label in np.random.default_rng(seed).permutation(self.task.labels)]
        train, validation = (
            tuple(replace(example, label=labels[example.label]) for example in rows)
            for rows in (self.train, self.validation)
        )
        return replace(self, train=train, validation=validation, redraws_labels=False)


def read_task(task: Task | str, directory: Path | None = None) -> TaskData:
    """The examples of a task, or of the known task of a name: the miniature ones, or those of a data directory.

    A data directory holds `TASK/train.jsonl` and `TASK/validation.jsonl`. A task of the reader's has its examples in
    its own folder, and what makes its prompts is part of their digest.

    >>> task = read_task("cb")
    >>> len(task.train), task.task.verbalizers
    (96, ('True', 'False', 'Neither'))

    Raises:
        DataError: a file is missing or empty, or a row has a wrong field or label, with file and line.
    """
    task = known_task(task) if isinstance(task, str) else task
    beside = directory is None or task.own
    folder = task.folder if beside and task.folder else (directory or fixtures_folder() / "tasks") / task.name
    files = {split: folder / f"{split}.jsonl" for split in ("train", "validation")}
    examples = {split: _read_examples(path, task) for split, path in files.items()}
    digest = hashlib.sha256()
    for path in files.values():
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(what_prompts_it(task).encode())
    source = "directory" if directory or task.own else "miniature"
    return TaskData(task, examples["train"], examples["validation"], source, digest.hexdigest())


def data_of_rows(task: Task, train: tuple[Example, ...], validation: tuple[Example, ...], source: str) -> TaskData:
    """The examples of a task that stand in no file of ours."""
    held = [rows_digest((one.fields, one.label) for one in rows) for rows in (train, validation)]
    digest = hashlib.sha256(json.dumps([*held, what_prompts_it(task)]).encode()).hexdigest()
    return TaskData(task, train, validation, source, digest)


def what_prompts_it(task: Task) -> str:
    """All that makes prompts of a task's examples: its words, and its class, if that is the reader's own."""
    words = task.fields, task.template, task.paraphrase, task.verbalizers
    return json.dumps([*words, own_source([type(task).__module__])])


def _read_examples(path: Path, task: Task) -> tuple[Example, ...]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(
            f"The data of {task.title} cannot be read",
            expected=f"a file {path}",
            got=error.strerror or str(error),
            todo="Name a folder with one folder per task: ⟨data⟩ DIR; without it the miniature tasks are used.",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8", got=str(error), todo="Write the file again as UTF-8.") from error
    examples = tuple(
        _read_example(line, task, row, f"{path}, line {row + 1}") for row, line in enumerate(lines) if line.strip()
    )
    if not examples:
        raise DataError(f"{path} holds no example", expected="one JSON object per line", got="an empty file")
    return examples


def _read_example(line: str, task: Task, row: int, place: str) -> Example:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON", got=f"{error.msg} at column {error.colno}") from error
    if not isinstance(value, dict):
        raise DataError(f"{place}: not an object", expected="a JSON object", got=type(value).__name__)
    return example_of(value, task, row, place)


def example_of(value: Mapping[str, Any], task: Task, row: int, place: str) -> Example:
    """The example of a row of a task.

    Raises:
        DataError: it has a wrong field or label, with its place.
    """
    for field in task.fields:
        text = value.get(field)
        if not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{place}: field {field!r}",
                expected="a text",
                got=repr(text)
                if field in value
                else f"only the fields {', '.join(sorted(value)) or 'of an empty object'}",
                todo=f"A row of {task.title} needs the fields {', '.join((*task.fields, 'label'))}.",
            )
    label = value.get("label")
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < task.labels:
        raise DataError(
            f"{place}: label",
            expected=f"an integer from 0 to {task.labels - 1} ({', '.join(task.verbalizers)})",
            got=repr(label),
        )
    return Example({field: value[field] for field in task.fields}, label, row)


_Row = TypeVar("_Row")


@dataclass(frozen=True)
class Draw:
    """Which demonstrations and queries (None: up to 2000) a trial has; permutation 0 leaves the order drawn."""

    k: int
    seed: int = 0
    permutation: int = 0
    queries: int | None = None


EVALUATION_SEED = 1
EVALUATION_LIMIT = 2000
PERMUTATIONS_DRAWN = 5


def shuffle(rows: Sequence[_Row], seed: int | tuple[int, int]) -> tuple[_Row, ...]:
    """`rows` in the order `numpy.random.default_rng(seed).permutation(n)`, which is what datasets 2.4.0 did."""
    return tuple(rows[i] for i in np.random.default_rng(seed).permutation(len(rows)))


def draw_demonstrations(train: Sequence[_Row], k: int, seed: int) -> tuple[_Row, ...]:
    """The first k rows of the shuffled training set; classes are not balanced.

    Raises:
        UsageError: k is not between 1 and the number of rows.
    """
    if not 1 <= k <= len(train):
        raise UsageError(
            "The number of demonstrations does not fit the training set",
            expected=f"k between 1 and {len(train)}",
            got=f"k={k}",
            todo="Choose a smaller ⟨k⟩.",
        )
    return shuffle(train, seed)[:k]


def draw_queries(validation: Sequence[_Row], limit: int | None, own: int | None = None) -> tuple[_Row, ...]:
    """The first `limit` (at most 2000) rows of the evaluation set, shuffled with seed 1, as for every draw.

    With the seed of a draw as `own`, they are this draw's own.

    Raises:
        UsageError: limit is below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError("There are too few ⟨queries⟩", expected="at least 1", got=str(limit))
    seed = EVALUATION_SEED if own is None else (EVALUATION_SEED, own)
    return shuffle(validation, seed)[: min(limit or EVALUATION_LIMIT, EVALUATION_LIMIT)]


def orders(k: int, seed: int, permutation: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The orders in which in-context learning and finetuning see k demonstrations under a permutation.

    Permutation 0 leaves them. Otherwise five permutations are drawn for in-context learning and, from the same stream,
    five more for finetuning: permutation p is number p (from 0) of each five, so the two differ.

    Raises:
        UsageError: no such permutation.
    """
    if not 0 <= permutation < PERMUTATIONS_DRAWN:
        raise UsageError(
            "The ⟨permutation⟩ is unknown", expected=f"0 to {PERMUTATIONS_DRAWN - 1}", got=str(permutation)
        )
    if permutation == 0:
        return tuple(range(k)), tuple(range(k))
    stream = np.random.RandomState(seed)
    drawn = [tuple(int(i) for i in stream.permutation(k)) for _ in range(2 * PERMUTATIONS_DRAWN)]
    return drawn[permutation], drawn[PERMUTATIONS_DRAWN + permutation]
