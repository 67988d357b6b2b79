"""The real tasks from the Hugging Face Hub, and whether rows are those of the revision that is pinned."""

from collections.abc import Iterator, Sequence
from typing import Any

from icl_claims.errors import DataError, UsageError
from icl_claims.tasks.catalogue import Task
from icl_claims.tasks.examples import Example, TaskData, data_of_rows, example_of, read_task
from icl_claims.tasks.hub_dataset import HubDataset, HubSplit, rows_digest

HUB = "hub"
"""The name of this source, where a data directory could be named."""
SPLITS = ("train", "validation")


def read_from_hub(task: Task) -> TaskData:
    """The examples of a task, downloaded once and cached by `datasets`.

    A task of the reader's that names no data set has its examples in its own folder.

    Raises:
        UsageError: the library `datasets` is not installed.
        DataError: the data set cannot be had, or its rows are not those of the revision that is pinned.
    """
    if task.hub is None:
        if task.own:
            return read_task(task)
        todo = "Name a folder with its files: ⟨data⟩ DIR."
        raise DataError(f"No data set on the Hub is known for {task.title}", expected="one in its task.toml", todo=todo)
    train, validation = (_read_split(task, task.hub, task.hub.split(split)) for split in SPLITS)
    return data_of_rows(task, train, validation, HUB)


def differences(split: HubSplit, examples: Sequence[Example]) -> Iterator[str]:
    """In what rows differ from those of a pinned split, in words; nothing where they are the same, or may be."""
    if len(examples) != split.rows:
        yield f"{len(examples):,} rows instead of {split.rows:,}"
    elif split.digest and rows_digest((one.fields, one.label) for one in examples) != split.digest:
        yield "as many rows, but other ones, or in another order"
    for place, digest in split.known.items():
        if int(place) < len(examples):
            row = examples[int(place)]
            if rows_digest([(row.fields, row.label)]) != digest:
                yield f"another row {int(place) + 1:,}"


def _read_split(task: Task, dataset: HubDataset, split: HubSplit) -> tuple[Example, ...]:
    place = f"{dataset.title}, {split.name}"
    rows = _rows(task, dataset, split)
    found = tuple(example_of(row, task, number, f"{place}, row {number + 1}") for number, row in enumerate(rows))
    if wrong := ", ".join(differences(split, found)):
        problem, todo = f"{place} is not what it was when it was pinned", "Name a folder with the files: ⟨data⟩ DIR."
        raise DataError(problem, expected=f"the {split.rows:,} rows of that commit", got=wrong, todo=todo)
    return found


def _rows(task: Task, dataset: HubDataset, split: HubSplit) -> Any:
    try:
        import datasets
    except ImportError as error:
        todo = "pip install 'icl-claims[hub]', or name a folder with the files: ⟨data⟩ DIR."
        raise UsageError("The Hugging Face Hub needs the library datasets", got=str(error), todo=todo) from error
    try:
        return datasets.load_dataset(
            dataset.repository, dataset.configuration, split=split.name, revision=dataset.revision
        )
    except Exception as error:  # of the network, of the Hub, of the files: datasets raises many kinds
        raise DataError(
            f"The data of {task.title} could not be had from the Hugging Face Hub",
            expected=f"{dataset.title}, {split.name}",
            got=f"{type(error).__name__}: {error}".splitlines()[0][:300],
            todo="Check the network, or fetch it where there is one: icl-claims data fetch DIR, then ⟨data⟩ DIR.",
        ) from error
