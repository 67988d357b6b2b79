"""The command `icl-claims`: decide and list the claims, plan a run, tune, run trials, export, compare, look about."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from icl_claims.cli.arguments import AsJson, command_option, offers
from icl_claims.cli.cache import cache_app
from icl_claims.cli.data import data_app
from icl_claims.cli.exit_codes import exit_codes_help
from icl_claims.cli.run import run_claims
from icl_claims.cli.studies import list_studies
from icl_claims.cli.tune import find_prompting, find_rates
from icl_claims.errors import IclClaimsError
from icl_claims.experiments.options import chosen
from icl_claims.fixtures_folder import claims_folder
from icl_claims.version import __version__

app = typer.Typer(
    help=(
        "Every claim about in-context learning as gradient descent, decided by evidence.\n\n"
        "`icl-claims run` decides the claims by pytest, from an installed wheel or in a clone, where it is `pytest "
        "claims/`; with `-m gpu` it does on a GPU machine what the papers did. The other commands list the claims, say "
        "what a run will cost, find learning rates and ways to prompt, run single trials, export and compare runs, and "
        "look at the machine.\n\n"
        "`icl-claims --install-completion` lets the shell complete what you type; `NO_COLOR=1` takes colours away."
    ),
    epilog=exit_codes_help(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
SAVED_RUNS = Path("reports/runs")
Claims = Annotated[
    Path | None, typer.Argument(help="Where the claims lie; default: the folder claims, else the project's own.")
]
RUN_HELP = "A claims.json, or a saved run: its file, number or name, or last."
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")
ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("run", context_settings=ANYTHING, epilog=exit_codes_help())(run_claims)


def main() -> None:
    """Run the command; our own errors are one message and exit code 2."""
    try:
        app()
    except IclClaimsError as error:
        text = f"icl-claims: {error.as_told(command_option)}"
        Console(stderr=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False) -> None:
    if version:
        Console().print(f"icl_claims {__version__}")
        raise typer.Exit


@app.command("list")
def list_claims(
    folder: Claims = None,
    things: Annotated[
        bool, typer.Option("--things", help="Also the metrics, methods and tasks that they ask about.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """List the claims: id, tests, paper, place, the sources of evidence that can decide each, and what it asks.

    `icl-claims run` with `--claims-only ID,ID` decides these claims, and so it does with the names of their tests.

    For example: icl-claims list examples/own_study --things
    """
    from icl_claims.pytest_plugin.claims_of_folder import collect_claims

    collected = collect_claims(folder or claims_folder())
    claims = list(collected.claims.values())
    if as_json:
        typer.echo(json.dumps({"claims": claims, **collected.things()}, indent=1, ensure_ascii=False))
        return
    named = Column("id, and tests", overflow="fold")
    table = Table(named, "paper", "where", "sources", "statement", "asks", title=f"{len(claims)} claims")
    for claim in claims:
        row = (
            "\n".join((claim["id"], *claim["tests"])),
            claim["paper"],
            claim["where"],
            ", ".join(claim["sources"]),
            claim["statement"],
        )
        table.add_row(*map(escape, (*row, claim["asks"][0] if claim["asks"] else "")))
    Console().print(table)
    for title, rows in collected.things().items() if things else ():
        table = Table(*(name.replace("_", " ") for name in rows[0]) if rows else (), title=title)
        for one in rows:
            table.add_row(*(escape(value if isinstance(value, str) else "; ".join(value)) for value in one.values()))
        Console().print(table)


@app.command()
def rules(
    folder: Claims = None,
    write: Annotated[bool, typer.Option("--write", help="Register the rules as they are now.")] = False,
    today: Annotated[
        datetime | None, typer.Option(help="The day to register instead of today's.", formats=["%Y-%m-%d"])
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say since when the rule of each claim stands, and whether it changed since it was registered.

    A digest stands for all that decides a claim before its evidence: its rule, its question, and the code of a test
    with a body. `rules.toml` beside the claims holds it with a date. `--write` registers what is new or changed from
    today on, and removes claims that are gone; what is unchanged keeps its date. Where no registry exists yet, the
    dates are those from which git shows the rules as they are. The exit code is 1 when the registry is not up to date.

    For example: icl-claims rules --write
    """
    from icl_claims.cli.rules import rules_and_print

    if not rules_and_print(folder or claims_folder(), write=write, today=today and today.date(), as_json=as_json):
        raise typer.Exit(1)


app.command("studies")(list_studies)


@app.command()
@offers("trial")
def trial(
    tasks: Annotated[
        str,
        typer.Option("--task", "--tasks", help="Tasks with commas, folders of your own, or all.", metavar="A,B"),
    ],
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Run trials: every method learns from the same demonstrations and answers the same queries.

    Zero-shot and in-context learning are in every trial. `--methods all` runs every method and control, and models
    with untrained weights, too.

    For example: icl-claims trial --task sst2 --k 8 --queries 32 --methods finetuning,layer_causal,linearized
    """
    from icl_claims.cli.trial import EVERYTHING, TrialArguments, run_and_print

    choices = chosen({**given, "tasks": None if tasks == EVERYTHING else tasks})
    run_and_print(choices, TrialArguments.of(given), as_json=as_json)


@app.command()
@offers("plan")
def plan(
    folder: Claims = None,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Say what the claims of a folder ask of trials before these are run: which methods, trials, memory, and how long.

    Claims are looked at after a third of the draws, and after every sixth more. Of each look it says how many trials
    are missing of every task, and how long they take. What later looks cost is a bound: most claims are decided before.
    A run begins with the claims that the least work would probably decide. `--json` prints all trials, each with the
    claims that ask for it. The model is loaded and a few hundred tokens are measured; nothing is cached. The options
    are those of `pytest claims/`, there with `--claims-` before their names.

    For example: icl-claims plan --profile paper --model fairseq:DIR --data DIR --device cuda
    """
    from icl_claims.cli.plan import plan_and_print

    plan_and_print(folder or claims_folder(), chosen(given), as_json=as_json)


app.command("tune")(find_rates)
app.command("tune-prompting")(find_prompting)


@app.command()
def replicate(
    folder: Annotated[Path, typer.Argument(help="Folder of the claims.")] = Path("claims"),
    profile: Annotated[str, typer.Option(help="Profile whose draws are its own.")] = "tiny",
    groups: Annotated[int, typer.Option(help="Disjoint groups of as many draws as the profile has.", min=1)] = 8,
) -> None:
    """Ask fresh draws what the same rules say of them.

    Each group of draws decides all claims by itself. How often each word was said goes to `replications.json` beside
    the claims, and from there beside every verdict of that profile; a refutation that less than 80 % of the groups
    repeat may not be registered as known. Trials are stored: interrupted, the command goes on where it stood.

    For example: icl-claims replicate --profile tiny --groups 8
    """
    from icl_claims.cli.replicate import replicate_and_write

    replicate_and_write(folder, profile, groups=groups)


@app.command()
def specifications(
    folder: Annotated[Path, typer.Argument(help="Folder of the claims.")] = Path("claims"),
    profile: Annotated[str, typer.Option(help="Profile that is varied.")] = "tiny",
) -> None:
    """Ask what the same rules say where one thing of the trials is chosen otherwise.

    Half and twice the learning rate, half the demonstrations, and every other reading of the protocol: what each claim
    on standard, layer-causal and linearised finetuning says there goes to `specifications.json` beside the claims, and
    from there into the report of that profile. Trials are stored: interrupted, the command goes on where it stood.

    For example: icl-claims specifications --profile tiny
    """
    from icl_claims.cli.specifications import specify_and_write

    specify_and_write(folder, profile)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help=RUN_HELP)] = "reports/claims.json",
    to: Annotated[
        str,
        typer.Option(
            help="ctrf, earl (JSON-LD), json (of the present version), html, markdown, badge, csv or parquet."
        ),
    ] = "ctrf",
    output: Annotated[Path | None, typer.Option(help="File to write instead of printing.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Also save every figure here, as SVG and PDF.")] = None,
    claim: Annotated[str | None, typer.Option(help="The badge of this claim alone, by its id.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the saved runs.")] = SAVED_RUNS,
) -> None:
    """Give a run in another form: CTRF 1.0, EARL 1.0 as JSON-LD, the page, its numbers, or its figures as files.

    csv and parquet hold all numbers in one table: a row for every task of every comparison, with its interval. markdown
    is for the page of a job in continuous integration, badge (SVG) for a README.

    For example: icl-claims export --to csv --output claims.csv
    """
    from icl_claims.cli.runs import export_run

    export_run(run, to=to, output=output, figures=figures, runs=runs, claim=claim)


@app.command()
def compare(
    old: Annotated[str, typer.Argument(help=RUN_HELP)],
    new: Annotated[str, typer.Argument(help=RUN_HELP)] = "reports/claims.json",
    to: Annotated[str, typer.Option(help="text, json or html.")] = "text",
    output: Annotated[Path | None, typer.Option(help="File to write instead of printing.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the saved runs.")] = SAVED_RUNS,
) -> None:
    """Say what changed between two runs: verdicts, effects beyond their intervals, claims added or gone.

    The exit code is 1 when a verdict changed. For example: icl-claims compare 3 last
    """
    from icl_claims.cli.runs import compare_and_print

    if compare_and_print(old, new, to=to, output=output, runs=runs):
        raise typer.Exit(1)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at this machine: what works, what is missing, and how to get it."""
    from icl_claims.cli.doctor import examine

    found = examine()
    if as_json:
        typer.echo(json.dumps([line._asdict() for line in found], indent=1))
        return
    table = Table("what", "found", "what to do")
    for what, said, todo in found:
        table.add_row(what, f"[{'yellow' if todo else 'green'}]{said}[/]", todo)
    Console().print(table)
