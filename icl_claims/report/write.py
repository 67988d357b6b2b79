"""Write claims.json and claims.html, each complete or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from icl_claims.claims import PAPERS
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.report.interval_plot import interval_plot
from icl_claims.tasks.catalogue import TASKS

SCHEMA_VERSION = 1
WORDS = ("supported", "refuted", "inconclusive", "not run", "error")
NUMBER_OF_SOURCE = {"exact": 0, "printed": 1, "author_runs": 2, "trials": 3}


def write_report(folder: Path, run: dict[str, Any], claims: Sequence[dict[str, Any]]) -> tuple[Path, Path]:
    """Write both forms of the report into a folder, which is made.

    Args:
        folder: where.
        run: the facts of the run.
        claims: one record a claim and source.

    Returns:
        The paths of claims.html and claims.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(claims, key=_place)
    document = {"schema_version": SCHEMA_VERSION, "run": run, "claims": ordered}
    pages = {
        folder / "claims.html": render(run, ordered),
        folder / "claims.json": json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    for path, text in pages.items():
        beside = path.with_suffix(path.suffix + ".part")
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    html, data = pages
    return html, data


def render(run: dict[str, Any], claims: Sequence[dict[str, Any]]) -> str:
    """The page, as one text without any outside resource."""
    environment = Environment(
        loader=PackageLoader("icl_claims", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.globals["interval_plot"] = interval_plot
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for claim in claims:
        groups.setdefault((claim["paper"], claim["id"]), []).append(claim)
    by_paper = {
        paper: [group for (of, _), group in groups.items() if of == paper]
        for paper in dict.fromkeys(claim["paper"] for claim in claims)
    }
    return environment.get_template("claims.html.jinja").render(
        run=run,
        by_paper=by_paper,
        counts=_counts(claims),
        controls=_controls({claim["id"] for claim in claims if claim["source"] == "exact"}),
        words=WORDS,
        papers=PAPERS,
        titles={name: task.title for name, task in TASKS.items()},
        setup=next(
            (c["provenance"] for c in claims if c["source"] == "trials" and c["provenance"].get("trials")), None
        ),
    )


def _counts(claims: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """By source: how many claims got each word."""
    counts: dict[str, dict[str, int]] = {}
    for claim in claims:
        source = "exact, conditions" if claim["condition"] else claim["source"].replace("_", " ")
        row = counts.setdefault(
            source + (" (paper scale)" if claim["profile"] == "paper" else ""), dict.fromkeys(WORDS, 0)
        )
        row[claim["verdict"]] += 1
    return counts


def _controls(ids: set[str]) -> dict[str, list[str]]:
    """By claim: the broken variants under which the project's tests show that it is refuted."""
    controls: dict[str, list[str]] = {}
    for control in json.loads((fixtures_folder() / "controls.json").read_text(encoding="utf-8")):
        if control["claim"] in ids:
            controls.setdefault(control["claim"], []).append(control["broken"])
    return controls


def _place(claim: dict[str, Any]) -> tuple[Any, ...]:
    """The papers' order: paper, section, then id and source."""
    papers = list(PAPERS)
    return (
        papers.index(claim["paper"]),
        claim["where"],
        claim["id"],
        claim["condition"],
        NUMBER_OF_SOURCE[claim["source"]],
        claim["profile"] == "paper",
    )


def _number(value: float | None) -> str:
    """Three significant digits, a real minus sign, and a dash for nothing."""
    return "\N{EN DASH}" if value is None else f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
