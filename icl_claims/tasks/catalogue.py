"""The tasks: fields, template and verbalizers of each, read from the `task.toml` beside its examples."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from icl_claims.errors import DataError, UsageError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.tasks.hub_dataset import HubDataset, hub_dataset, is_hub_dataset

PAPERS_TASKS = ("sst2", "sst5", "mr", "subj", "agnews", "cb")
"""The six tasks of the papers in their order: those that rules speak of, and that a run has unless others are named."""
TASK_FILE = "task.toml"


@dataclass(frozen=True)
class Task:
    """A classification task and how it is prompted.

    Args:
        template: prompt of an example without its answer; names the fields in braces.
        paraphrase: the same question in other words, for the same verbalizers. Those of the papers' tasks are ours, in
            words of their templates and verbalizers, so that a tokenizer that knows those knows them.
        verbalizers: word that stands for each label, label 0 first.
        learning_rate: rate of the authors' finetuning of the 1.3B model; None if they never had the task.
        runs: pairs of a seed and a permutation; the authors' for their tasks, of which Table 2 prints the first.
        learning_rates: rates of finetuning by profile, for a task that the profiles do not know.
        hub: the data set on the Hugging Face Hub that holds it; None if none is known.
        folder: where its description and miniature examples are.
    """

    name: str
    title: str
    fields: tuple[str, ...]
    template: str
    paraphrase: str
    verbalizers: tuple[str, ...]
    learning_rate: float | None = None
    runs: tuple[tuple[int, int], ...] = ((1, 0), (2, 1), (3, 2))
    learning_rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    hub: HubDataset | None = None
    folder: Path | None = field(default=None, compare=False)

    @property
    def labels(self) -> int:
        """Number of labels."""
        return len(self.verbalizers)

    @property
    def own(self) -> bool:
        """Whether it is a task of the reader's, outside the folder of known tasks."""
        return self.folder is not None and TASKS.get(self.name) != self

    def prompt(self, example: Mapping[str, str]) -> str:
        """The template filled with an example's fields."""
        return self.template.format_map(example)

    def paraphrased(self, example: Mapping[str, str]) -> str:
        """The second template filled with an example's fields."""
        return self.paraphrase.format_map(example)


def read_own_task(folder: Path) -> Task:
    """The task of a folder with `task.toml`, `train.jsonl` and `validation.jsonl`, named as the folder.

    Raises:
        DataError: the description is missing or malformed, with file and entry; or a known task has the name.
    """
    task = _read_description(folder.expanduser().resolve())
    if task.name in TASKS and task.folder != TASKS[task.name].folder:
        problem, wanted = f"The name of the task in {folder} is taken", f"another name than {', '.join(TASKS)}"
        raise DataError(problem, expected=wanted, got=repr(task.name), todo="Rename the folder.")
    _OWN[task.name] = task
    return task


_OWN: dict[str, Task] = {}  # the tasks of the reader's that were read


def title_of_task(name: str) -> str:
    """The name in print of a task that is known or was read; any other text as it is.

    >>> title_of_task("sst2")
    'SST2'
    """
    task = TASKS.get(name) or _OWN.get(name)
    return name if task is None else task.title


def known_task(name: str, more: Iterable[Task] = ()) -> Task:
    """The task of a name, among those of the project and more of the reader's.

    Raises:
        UsageError: there is none.
    """
    known = {**TASKS, **{task.name: task for task in more}}
    if name not in known:
        todo = f"A task of your own is named by its folder, as in ./{name}."
        raise UsageError("The task is unknown", expected=f"one of {', '.join(known)}", got=repr(name), todo=todo)
    return known[name]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_different(value: Any, least: int) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and least <= len(set(value)) == len(value)


def _are_runs(value: Any) -> bool:
    pairs = isinstance(value, list) and value and all(isinstance(run, list) and len(run) == 2 for run in value)
    whole = bool(pairs) and all(type(n) is int and n >= 0 for run in value for n in run)
    return whole and max(run[1] for run in value) < 5 and len({*map(tuple, value)}) == len(value)


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


_ENTRIES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "title": ("a text", _is_text),
    "fields": ('names such as ["text"], not label', lambda value: _are_different(value, 1) and "label" not in value),
    "template": ("a text", _is_text),
    "paraphrase": ("a text", _is_text),
    "verbalizers": ("two or more different words", lambda value: _are_different(value, 2)),
    "learning_rate": ("a number above 0", _is_rate),
    "runs": ("different pairs of a seed and a permutation from 0 to 4, such as [[1, 0]]", _are_runs),
    "learning_rates": (
        "a table of numbers above 0 by profile",
        lambda value: isinstance(value, dict) and all(map(_is_rate, value.values())),
    ),
    "hub": (
        "a table with repository, revision (a commit), and train and validation, each with name and rows",
        is_hub_dataset,
    ),
}
"""What each entry of a description must be; the last four may be missing."""
NEEDED_ENTRIES = tuple(_ENTRIES)[:5]


def _read_description(folder: Path) -> Task:
    path = folder / TASK_FILE
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"The description of a task cannot be read from {path}",
            expected=f"a TOML file with {', '.join(NEEDED_ENTRIES)}",
            got=getattr(error, "strerror", None) or str(error),
            todo=f"Write one as {fixtures_folder() / 'tasks' / 'sst2' / TASK_FILE} is.",
        ) from error
    for name in (*NEEDED_ENTRIES, *(name for name in entries if name not in NEEDED_ENTRIES)):
        expected, fits = _ENTRIES.get(name, ("no such entry", lambda _value: False))
        if name not in entries or not fits(entries[name]):
            _refuse(path, name, expected, repr(entries[name]) if name in entries else "none")
    fields = [f"{{{name}}}" for name in entries["fields"]]
    for name in ("template", "paraphrase"):
        if _fields_in(entries[name]) != sorted(fields):
            _refuse(path, name, f"a text with {' and '.join(fields)}, each once", repr(entries[name]))
    plain: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in entries.items()}
    if "runs" in plain:
        plain["runs"] = tuple(map(tuple, plain["runs"]))
    if "hub" in plain:
        plain["hub"] = hub_dataset(plain["hub"])
    return Task(folder.name, **plain, folder=folder)


def _fields_in(template: str) -> list[str]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return []
    return sorted(f"{{{name}{form}{how or ''}}}" for _, name, form, how in parts if name is not None)


def _refuse(path: Path, entry: str, expected: str, got: str) -> None:
    raise DataError(f"{path}: the entry {entry!r} cannot be used", expected=expected, got=got, todo="Correct the file.")


_FOLDER = fixtures_folder() / "tasks"
_FURTHER = sorted(path.parent.name for path in _FOLDER.glob(f"*/{TASK_FILE}"))
TASKS: Mapping[str, Task] = {
    name: _read_description(_FOLDER / name) for name in dict.fromkeys((*PAPERS_TASKS, *_FURTHER))
}
"""Every known task by name: the papers' six in their order, then any further one, which only runs where it is named."""
