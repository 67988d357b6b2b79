"""The command `icl-claims`: list the claims, run one trial, and look whether this machine has what it takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from icl_claims import __version__
from icl_claims.errors import IclClaimsError

app = typer.Typer(
    help=(
        "Every claim about in-context learning as gradient descent, decided by evidence.\n\n"
        "The claims themselves are run by pytest: `pytest claims/` on a laptop, `pytest claims/ -m gpu` on a GPU "
        "machine. This command lists them, runs single trials and looks at the machine."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console()


def main() -> None:
    """Run the command; our own errors are one message and exit code 2."""
    try:
        app()
    except IclClaimsError as error:
        Console(stderr=True).print(f"icl-claims: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False) -> None:
    if version:
        console.print(f"icl_claims {__version__}")
        raise typer.Exit


@app.command("list")
def list_claims(
    folder: Annotated[Path, typer.Argument(help="Where the claims lie.")] = Path("claims"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the claims: id, paper, place, and the sources of evidence that can decide each."""
    from icl_claims.cli.listing import collect_claims

    claims = collect_claims(folder)
    if as_json:
        print(json.dumps(claims, indent=1, ensure_ascii=False))  # noqa: T201  # the command's output
        return
    table = Table("id", "paper", "where", "sources", "statement", title=f"{len(claims)} claims")
    for claim in claims:
        table.add_row(claim["id"], claim["paper"], claim["where"], ", ".join(claim["sources"]), claim["statement"])
    console.print(table)


@app.command()
def trial(
    task: Annotated[str, typer.Option(help="sst2, sst5, mr, subj, agnews or cb.")],
    profile: Annotated[str, typer.Option(help="The set-up to start from: embedded, tiny or paper.")] = "embedded",
    model: Annotated[str | None, typer.Option(help="embedded, path:DIR, hub:NAME or fairseq:DIR.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the real tasks; default: $ICL_CLAIMS_DATA.")] = None,
    k: Annotated[int | None, typer.Option(help="Demonstrations.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw of demonstrations.", min=0)] = None,
    permutation: Annotated[int, typer.Option(help="Of the demonstrations; 0 leaves their order.", min=0, max=4)] = 0,
    queries: Annotated[int | None, typer.Option(help="Queries asked.", min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of finetuning.", min=0.0)] = None,
    probe: Annotated[
        str, typer.Option(help="label_token (authors' code) or template_end (paper's words).")
    ] = "label_token",
    calibration: Annotated[str | None, typer.Option(help="none or contextual.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Run one trial: every method learns from the same demonstrations and answers the same queries.

    For example: icl-claims trial --task sst2 --k 8 --queries 32
    """
    from icl_claims.cli.trial import run_and_print

    run_and_print(
        task=task,
        profile=profile,
        model=model,
        data=data,
        k=k,
        seed=seed,
        permutation=permutation,
        queries=queries,
        learning_rate=learning_rate,
        probe=probe,
        calibration=calibration,
        device=device,
        as_json=as_json,
    )


@app.command()
def doctor() -> None:
    """Look at this machine: what works, what is missing, and how to get it."""
    from icl_claims.cli.doctor import examine

    table = Table("what", "found", "what to do")
    for line in examine():
        table.add_row(line.what, f"[{'green' if line.good else 'yellow'}]{line.found}[/]", line.todo)
    console.print(table)
