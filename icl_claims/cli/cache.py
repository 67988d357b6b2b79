"""The commands `icl-claims cache`: what the store of trials holds, why one is new, whether all is whole, another's."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from icl_claims.cli.arguments import AsJson, offers
from icl_claims.errors import UsageError
from icl_claims.experiments.options import chosen

if TYPE_CHECKING:
    from icl_claims.storage.store import StoredFolder

_KEY = 12  # letters of a key that are shown
_DIGEST_OF = {"model": "the model's files", "data": "the examples", "code": "the code that makes the numbers"}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

_NAMED = 3  # entries of each kind that are named when a store is imported
_LEFT = {
    "conflict": "in conflict",
    "damaged": "damaged",
    "format": "of another format",
    "code": "of other code, which no run of this code would read",
    "unfinished": "unfinished: interrupted, or under way there",
    "foreign": "no trial",
    "busy": "being run here: import them again later",
}

cache_app = typer.Typer(
    help="Look after the cached trials of earlier runs, and import those of another machine.", no_args_is_help=True
)


@cache_app.command()
def ls(as_json: AsJson = False) -> None:
    """List what the store holds: task, model, methods, queries, size and age of every trial, the newest first.

    `icl-claims cache import DIR` adds the trials of another machine.
    """
    from icl_claims.storage.store import default_store, entries

    found = entries(default_store())
    if as_json:
        typer.echo(json.dumps([_plain(entry) for entry in found], indent=1))
        return
    table = Table("key", "state", "task", "model", "k", "seed", "queries", "methods", "size", "age")
    for entry in found:
        spec, run = entry.spec, entry.facts.get("provenance", {})
        methods = ", ".join(method["name"] for method in spec.get("methods", ()))
        model = run.get("model", str(spec.get("model", ""))[:_KEY])
        numbers = (str(spec.get(name, "")) for name in ("k", "seed", "queries"))
        row = (entry.state, spec.get("task", ""), model, *numbers, methods, decimal(entry.size), age(entry.written))
        table.add_row(_shown(entry.key), *row)
    Console().print(table)
    whole, held = sum(entry.state == "whole" for entry in found), sum(entry.size for entry in found)
    Console().print(f"{whole} trials, {decimal(held)} in {default_store()}.", soft_wrap=True)


@cache_app.command()
@offers("why")
def why(
    spec: Annotated[str, typer.Argument(help="A task, the beginning of a stored trial's key, or a JSON file.")],
    study: Annotated[str, typer.Option(help="Which trials of the task: main, clips, labels, ...")] = "main",
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Say which part of a specification makes a trial new, against the nearest one in the store.

    SPEC is the name of a task, whose first trial that is not stored is planned as the options say; or the beginning
    of a key that `icl-claims cache ls` shows; or a file that holds a specification, such as what
    `icl-claims trial --json` prints.

    For example: icl-claims cache why sst2 --k 8
    """
    from icl_claims.experiments.spec import nearest
    from icl_claims.storage.store import default_store, entries
    from icl_claims.tasks import TASKS

    stored, held = [entry for entry in entries(default_store()) if entry.spec], False
    if spec in TASKS:
        from icl_claims.experiments.plan import plan_trials, resolve
        from icl_claims.experiments.trial_store import TrialStore

        planned = plan_trials(resolve(chosen({**given, "tasks": spec})), study)
        unheld = [trial for trial in planned if not TrialStore().holds(trial)]
        held, wanted = not unheld, (unheld or planned)[0].record()
    elif Path(spec).is_file():
        wanted = _read(Path(spec))
    else:
        wanted = _find(spec, stored).spec
        stored = [entry for entry in stored if entry.spec != wanted]
    other, changes = nearest(wanted, (entry.spec for entry in stored)) or ({}, None)
    changes = () if held else changes  # stored trials may hold more, or each a part
    if as_json:
        new = None if changes is None else [vars(change) for change in changes]
        typer.echo(json.dumps({"spec": dict(wanted), "nearest": other or None, "new": new}))
    elif changes is None:
        Console().print("It is new: the store holds no other trial.")
    elif not changes:
        Console().print("It is not new: the store holds it.")
    else:
        table = Table("part", "stored", "this one", title=f"New against the nearest stored trial, of {other['task']}:")
        for change in changes:
            where = f"{change.where} ({_DIGEST_OF[change.where]})" if change.where in _DIGEST_OF else change.where
            table.add_row(where, _short(change.before), _short(change.after))
        Console().print(table)


@cache_app.command()
def gc(
    older_than: Annotated[int | None, typer.Option(help="Also trials older than so many days.", min=0)] = None,
    partials: Annotated[bool, typer.Option("--partials", help="Also the checkpoints of interrupted trials.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what no run will read: trials of other versions of the code, damaged ones, and what killed runs left.

    The verdicts and figures of other versions of the code go, too.
    """
    from icl_claims.experiments.spec import code_digest
    from icl_claims.pytest_plugin.verdict_cache import outdated_verdicts
    from icl_claims.report.page_figures import outdated_figures
    from icl_claims.storage.store import default_store, entries, remove, unneeded

    store, freed, gone = default_store(), 0, list[dict[str, str]]()
    out = Console(quiet=as_json)
    age_limit = None if older_than is None else timedelta(days=older_than)
    for entry, reason in unneeded(entries(store), code_digest(), older_than=age_limit, partials=partials):
        if not dry_run and not remove(store, entry):
            out.print(f"{_shown(entry.key)} {entry.spec.get('task', '')}: a run is at it, left")
            continue
        freed += entry.size
        gone.append({"key": entry.key, "task": entry.spec.get("task", ""), "why": reason})
        out.print(f"{_shown(entry.key)} {entry.spec.get('task', '')}: {reason}")
    for what, folders in (("verdicts", outdated_verdicts()), ("figures", outdated_figures())):
        for folder in folders:
            freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            gone.append({"key": folder.name, "task": "", "why": f"{what} of another version of the code"})
            out.print(f"{folder.name[:_KEY]}: {what} of another version of the code")
            if not dry_run:
                shutil.rmtree(folder, ignore_errors=True)
    out.print(f"{decimal(freed)} {'would be ' if dry_run else ''}freed in {store}.", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps({"store": str(store), "dry_run": dry_run, "freed": freed, "gone": gone}, indent=1))


@cache_app.command()
def verify(as_json: AsJson = False) -> None:
    """Compare every stored number with its checksum; exit code 1 where one is damaged."""
    from icl_claims.storage.store import damage, default_store

    problems = [problem for _, problem in damage(default_store())]
    damaged = list(filter(None, problems))
    if as_json:
        typer.echo(json.dumps({"checked": len(problems), "damaged": damaged}, indent=1))
    out = Console(quiet=as_json)
    for problem in damaged:
        out.print(problem, style="red", soft_wrap=True)
    out.print(f"{len(problems)} trials checked, {len(damaged)} damaged.")
    if damaged:
        raise typer.Exit(1)


@cache_app.command("import")
def import_store(
    folder: Annotated[Path, typer.Argument(help="Cache folder of another machine, or `trials` in it.", metavar="DIR")],
) -> None:
    """Take in the trials of another machine's cache: evidence on the same claims accumulates.

    Every whole trial that is not here yet is copied, when all its checksums were verified; methods that both machines
    ran in one setting are gathered. Nothing in DIR is changed, and nothing here is lost: damaged trials, those of
    another format or of other code, and unfinished ones stay where they are and are named. If both hold a trial with
    other numbers, the one here is kept. It may be done beside a run, and again. Verdicts are not imported: the next
    `pytest claims/` decides them on all trials, and says the same wherever the same trials are.

    For example: icl-claims cache import /mnt/other/icl_claims
    """
    from icl_claims.experiments.trial_import import Offered, import_trial, offered_by, store_in
    from icl_claims.storage.store import default_store

    out, theirs, ours = Console(), store_in(folder), default_store()
    told: dict[str, list[Offered]] = {outcome: [] for outcome in ("imported", "here", *_LEFT)}
    columns = (TextColumn("{task.completed} of {task.total} entries"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for entry in progress.track(offered_by(theirs, ours)):
            one = import_trial(entry, ours)
            told[one.outcome].append(one)
    for outcome, found in told.items():
        if found and outcome in _LEFT:
            out.print(f"{len(found)} left there, {_LEFT[outcome]}:", soft_wrap=True)
        shown = [one for one in found if one.why or outcome in _LEFT][:_NAMED]
        for one in shown:
            name = repr(one.name) if outcome == "foreign" else _shown(one.name)
            out.print(f"  {name}: {one.why}".rstrip(": "), markup=False, highlight=False, soft_wrap=True)
        if outcome in _LEFT and len(found) > len(shown):
            out.print(f"  and {len(found) - len(shown)} more")
    size, here = decimal(sum(one.size for one in told["imported"])), len(told["here"])
    out.print(f"{len(told['imported'])} trials ({size}) imported into {ours}, {here} were here.", soft_wrap=True)


def age(since: datetime) -> str:
    """How long ago something was, in words: `3 d`."""
    seconds = max((datetime.now(UTC) - since).total_seconds(), 1)
    unit, name = next((unit, name) for unit, name in _UNITS if seconds >= unit)
    return f"{seconds // unit:.0f} {name}"


def _plain(entry: StoredFolder) -> dict[str, Any]:
    return {
        "key": entry.key,
        "state": entry.state,
        "size": entry.size,
        "written": entry.written.isoformat(timespec="seconds"),
        "spec": entry.spec,
        "provenance": entry.facts.get("provenance", {}),
        "problem": entry.problem,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        spec: dict[str, Any] = found.get("spec", found)
        spec["methods"], spec["task"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} holds no specification", got=f"{type(error).__name__}: {error}") from error
    return spec


def _find(beginning: str, stored: list[StoredFolder]) -> StoredFolder:
    found = [
        entry for entry in stored if beginning in (entry.key[: len(beginning)], _shown(entry.key)[: len(beginning)])
    ]
    if len(found) != 1:
        got = f"{beginning!r}, which begins {len(found)} keys"
        raise UsageError("SPEC names no trial", expected="a task, the beginning of one stored key, or a file", got=got)
    return found[0]


def _shown(key: str) -> str:
    """Some letters of a key: half of them of the trial's setting, half of what is compared in it."""
    from icl_claims.storage.store import GROUP

    return f"{key[: _KEY // 2]}{key[GROUP : GROUP + _KEY // 2]}" if len(key) > GROUP else key[:_KEY]


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:_KEY]}..."
