"""The commands `icl-claims data`: fetch the real tasks from the Hugging Face Hub, and say what a folder holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from icl_claims.cli.arguments import AsJson
from icl_claims.errors import DataError

if TYPE_CHECKING:
    from icl_claims.tasks import Example, Task

Names = Annotated[str | None, typer.Option("--tasks", metavar="A,B", help="Only these tasks, with commas.")]
data_app = typer.Typer(
    help="Fetch the real tasks from the Hugging Face Hub, or say what a folder of them holds.", no_args_is_help=True
)


@data_app.command()
def fetch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if it is not there.")],
    tasks: Names = None,
) -> None:
    """Write the six tasks as JSON Lines: DIR/sst2/train.jsonl, DIR/sst2/validation.jsonl and so on.

    Every data set is that of a pinned commit, and its rows are counted and compared with a digest where one is known. A
    file that is there already is not written again if it holds the same, and refused if it does not. The data sets have
    licences of their own, most of them for research alone: see their pages.

    For example: icl-claims data fetch data; then pytest claims/ --claims-data data
    """
    from icl_claims.tasks.hub import SPLITS, read_from_hub

    console = Console(stderr=True)
    for task in _chosen(tasks):
        console.print(f"{task.title}: {task.hub.title if task.hub else 'from its folder'}", highlight=False)
        data = read_from_hub(task)
        for split, rows in zip(SPLITS, (data.train, data.validation), strict=True):
            written = _write(folder / task.name / f"{split}.jsonl", rows)
            console.print(f"  {len(rows):,} rows: {written}", highlight=False, soft_wrap=True)


@data_app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data directory.")],
    tasks: Names = None,
    as_json: AsJson = False,
) -> None:
    """Say of each file whether its rows are those that the papers' authors read, and how they differ.

    Nothing is downloaded: rows are counted and compared with digests of the data sets on the Hugging Face Hub. Where no
    digest is known, single rows are compared. The exit code is 1 if a file is missing or cannot be read.

    For example: icl-claims data check data
    """
    found = [record for task in _chosen(tasks) for record in _records(task, folder)]
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for record in found:
            colour = "green" if record["same"] else "default" if record["same"] is None else "yellow"
            Console().print(_in_words(record), style=colour, highlight=False, soft_wrap=True)
    if any(record["rows"] is None for record in found):
        raise typer.Exit(1)


def _chosen(names: str | None) -> list[Task]:
    from icl_claims.tasks import PAPERS_TASKS, known_task

    return [known_task(name.strip()) for name in (names.split(",") if names else PAPERS_TASKS)]


def _write(path: Path, rows: tuple[Example, ...]) -> str:
    """Write rows, unless they are there already; gives what became of it.

    Raises:
        DataError: other rows are there, or nothing can be written.
    """
    from icl_claims.storage.files import write_atomically

    text = "".join(json.dumps({**row.fields, "label": row.label}, ensure_ascii=False) + "\n" for row in rows)
    try:
        if path.is_file():
            if path.read_text(encoding="utf-8") == text:
                return f"{path} was there"
            raise DataError(f"{path} holds something else", todo="Remove it, or name another folder.")
        write_atomically(path, text)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}", todo="Name another folder.") from error
    return f"{path}"


def _records(task: Task, folder: Path) -> Iterator[dict[str, Any]]:
    """What is said of the files of a task, as plain data; `same` is null where it is not known."""
    from icl_claims.tasks import read_task
    from icl_claims.tasks.hub import SPLITS, differences

    try:
        data = read_task(task, folder)
    except DataError as error:
        known = {"task": task.name, "title": task.title, "rows": None, "same": False, "pinned": ""}
        yield {**known, "file": f"{task.name}/", "differs": str(error)}
        return
    for name, rows in zip(SPLITS, (data.train, data.validation), strict=True):
        record: dict[str, Any] = {"task": task.name, "title": task.title, "file": f"{task.name}/{name}.jsonl"}
        record |= {"rows": len(rows), "same": None, "pinned": "", "differs": ""}
        if task.hub is not None:
            split = task.hub.split(name)
            wrong = "; ".join(differences(split, rows))
            same = False if wrong else True if split.digest else None
            record |= {"same": same, "pinned": f"{task.hub.title}, {split.name}", "differs": wrong}
        yield record


def _in_words(record: dict[str, Any]) -> str:
    """What is said of a file, in a line."""
    if record["rows"] is None:
        return f"{record['file']}: {record['differs']}"
    said = f"{record['file']}: {record['rows']:,} rows, "
    if not record["pinned"]:
        return f"{said}of which no data set on the Hub is known"
    if record["differs"]:
        return f"{said}not those of {record['pinned']}: {record['differs']}"
    if record["same"]:
        return f"{said}those of {record['pinned']}"
    return f"{said}as many as in {record['pinned']}, and the rows are the same that could be compared"
