"""The pages that are made of declarations when the documentation is built, in Markdown."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import icl_claims
from icl_claims.experiments.options import PYTEST, options_of
from icl_claims.methods import AnotherQuerysUpdate, GaussianUpdate
from icl_claims.metrics import METRICS, RANDOM_UPDATE, Metric
from icl_claims.protocol import DIFFERENCES
from icl_claims.pytest_plugin.options import pytest_addoption
from icl_claims.report.verdicts import VERDICT_WORDS
from icl_claims.report.words import METRIC_TERMS, Term, method_terms

if TYPE_CHECKING:
    import click

PACKAGE = Path(icl_claims.__file__).parent
FLOORS = ("claims", "methods", "metrics", "statistics", "theory", "models", "tasks", "experiments")


def table(*rows: Iterable[str]) -> str:
    """A table, its first row the head."""
    head, *rest = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)
    return head + "|" + " --- |" * (head.count(" | ") + 1) + "\n" + "".join(rest)


def terms(found: Iterable[Term]) -> str:
    """Every term with its formula, what it says, its unit and its source."""
    parts = []
    for term in found:
        lines = [f"## {term.title[:1].upper()}{term.title[1:]}"]
        lines += [f"$$\n{term.formula}\n$$"] if term.formula else []
        about = [
            term.definition,
            f"In {term.unit}." if term.unit else "",
            f"Source: {term.source}." * bool(term.source),
        ]
        parts.append("\n\n".join([*lines, " ".join(filter(None, about))]))
    return "\n\n".join(parts) + "\n"


def metrics() -> str:
    """The metrics that every trial measures."""
    about = (
        "For a query and a layer, *h* is the output of the attention module at the probe position, scaled to unit "
        "length, and *m* the attention scores of that position over the query's own tokens before the softmax. "
        f"Every trial measures these {len(METRICS)} metrics. `icl_claims.metrics` declares each beside the function "
        "that computes it."
    )
    return f"# Metrics\n\n{about}\n\n{terms(METRIC_TERMS)}"


def methods() -> str:
    """The kinds of methods, and what stands in the place of an update where it means nothing."""
    about = "All methods learn from the same demonstrations and answer the same queries."
    nulls = Term(
        "Nulls", f"{'; '.join((RANDOM_UPDATE.title, GaussianUpdate.definition, AnotherQuerysUpdate.definition))}"
    )
    return f"# Methods\n\n{about}\n\n{terms([*method_terms(), nulls])}"


def forks() -> str:
    """Every place where the papers and the authors' code differ."""
    about = (
        "An option chooses wherever there is one: of `icl-claims trial` and `plan` as it stands here, of pytest with "
        "`--claims-` before its name. The default is what the authors' code does, which made the printed numbers. A "
        "layer-causal update in the paper's words is the method `layer_causal_sequential`, and `sim_am` and "
        "`sim_am_update` are both measured."
    )
    changes = "\n\n".join(f"## {one.title}\n\n{one.changes}" for one in DIFFERENCES if one.changes)
    return f"# Where paper and code differ\n\n{about}\n\n{differences_table()}\n{changes}\n"


def differences_table() -> str:
    """`DIFFERENCES`, with the option that chooses."""
    rows = [("what", "the papers say", "the authors' code does, as we by default", "option")]
    rows += [
        (one.title, one.papers, one.code, f"`--{one.name.replace('_', '-')}`" if one.name else "")
        for one in DIFFERENCES
    ]
    return table(*rows)


def words() -> str:
    """What each verdict means, and what pytest makes of it."""
    rows = [("word", "meaning", "its test", "letter")]
    rows += [(f"**{one.word}**", one.meaning, one.test, f"`{one.letter}`") for one in VERDICT_WORDS]
    about = (
        "A refutation that is known and explained (`claims/known_refutations.toml`) is an expected failure: its test "
        "is skipped."
    )
    return f"# Words of verdicts\n\n{table(*rows)}\n{about}\n"


def commands() -> str:
    """Every command with its options, and the options of pytest."""
    parser = pytest.Parser(_ispytest=True)
    pytest_addoption(parser)
    group = parser.getgroup("claims")
    rows = [("option", "what it chooses")]
    rows += [_pytest_row(option.names(), option.attrs()) for option in group.options]
    pages = [
        "# Commands and options",
        f"`pytest claims/` decides claims. These are its options beside pytest's own; commands of `icl-claims` take "
        f"{len(options_of(PYTEST))} of them without `--claims-`.",
        f"## pytest\n\n{table(*rows)}",
    ]
    for name, command in click_commands():
        rows = [("argument or option", "what it is")]
        rows += [_click_row(one) for one in command.params if one.name != "help"]
        help_text = (command.help or "").replace("\b", "").strip()
        pages.append(f"## icl-claims {name}\n\n{help_text}\n\n" + (table(*rows) if len(rows) > 1 else ""))
    return "\n\n".join(pages) + "\n"


def click_commands() -> list[tuple[str, click.Command]]:
    """The commands of `icl-claims` by name, those of groups, too."""
    from typer.main import get_command

    from icl_claims.cli import app

    found: list[tuple[str, click.Command]] = []
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found += [(f"{name} {one}", part) for one, part in inner.items()] if inner else [(name, command)]
    return found


def _pytest_row(names: Iterable[str], attributes: dict[str, str]) -> tuple[str, str]:
    shown = " ".join([*names, attributes.get("metavar") or ""]).strip()
    return f"`{shown}`", attributes.get("help", "")


def _click_row(parameter: click.Parameter) -> tuple[str, str]:
    names = parameter.opts if parameter.param_type_name == "option" else [f"{parameter.name}".upper()]
    metavar = parameter.metavar if parameter.param_type_name == "option" and parameter.metavar else ""
    return f"`{', '.join(names)}{f' {metavar}' if metavar else ''}`", str(getattr(parameter, "help", "") or "")


def front_door() -> str:
    """The names of `icl_claims`, each with a link to where it is described."""
    rows = [("name", "what it is")]
    for name in icl_claims.__all__:
        thing = getattr(icl_claims, name)
        if name == "__version__":
            continue
        declared = thing.values if isinstance(thing, Metric) else thing
        about = thing.definition if isinstance(thing, Metric) else inspect.getdoc(thing) or ""
        rows.append(
            (f"[`{name}`][{declared.__module__}.{declared.__qualname__}]", " ".join(about.split("\n\n")[0].split()))
        )
    return (
        f"# Front door\n\nWhat `from icl_claims import ...` offers; each is imported when it is used.\n\n{table(*rows)}"
    )


def floor(name: str) -> str:
    """The public names of every file of a floor."""
    files = sorted(path.stem for path in (PACKAGE / name).glob("*.py") if path.stem != "__init__")
    return f"# icl_claims.{name}\n" + rooms(*(f"icl_claims.{name}.{file}" for file in files))


def rooms(*modules: str) -> str:
    """The public names of some files."""
    return "".join(f"\n::: {module}\n    options:\n      show_root_full_path: true\n" for module in modules)


def pages() -> dict[str, str]:
    """Every page that is made of declarations, by its place in the site."""
    reference = {"metrics": metrics, "methods": methods, "forks": forks, "words": words, "commands": commands}
    return {
        **{f"reference/{name}.md": made() for name, made in reference.items()},
        "api/front_door.md": front_door(),
        "api/questions.md": "# Questions and readings\n" + rooms("icl_claims.questions", "icl_claims.protocol"),
        **{f"api/{name}.md": floor(name) for name in FLOORS},
    }
