"""What a run leaves when it ends: the report, the saved run, the pictures, and what the terminal says of it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from icl_claims.claims import coverage_of_papers
from icl_claims.errors import IclClaimsError
from icl_claims.pytest_plugin.columns import chosen_options
from icl_claims.pytest_plugin.fixtures import end_line
from icl_claims.pytest_plugin.options import report_folder
from icl_claims.pytest_plugin.run_record import RunRecord
from icl_claims.report import Record, compare, ledger, words, write
from icl_claims.report.counts import counts_of
from icl_claims.report.document import Document, find_run, make_document, read_document, run_facts, save_run
from icl_claims.report.effort import outlook_of_run, spent_words
from icl_claims.report.verdicts import OF_WORD, known_as


@dataclass(frozen=True)
class SessionReport:
    """The report of a run, and what is said about it.

    Args:
        claims: Records in the papers' order.
        comparison: Comparison with the run that was named, or else with the newest saved one; None if there is none.
        problem: Why something could not be written.
        cached: Number of the verdicts that an earlier run had reached.
        spent: What its trials cost, by profile and task.
    """

    claims: Sequence[Record]
    written: tuple[Path, ...] = ()
    comparison: compare.RunComparison | None = None
    named: bool = False
    problem: str = ""
    cached: int = 0
    spent: Sequence[Record] = ()

    @property
    def failed(self) -> bool:
        """Whether the run fails for it: a verdict changed against the named run, or the report was not written."""
        changed = self.named and self.comparison is not None and self.comparison.verdict_changed
        return changed or bool(self.problem)

    def print(self, terminal: Any) -> None:
        """Print the claims, the counts, the comparison that was asked for, and where the report is."""
        terminal.ensure_newline()
        if terminal.verbosity >= 0:
            print_summary(terminal, self.claims, self.comparison)
        if self.named and self.comparison is not None:
            terminal.section("comparison")
            terminal.write(compare.comparison_text(self.comparison))
        if terminal.verbosity >= -1:
            terminal.write_line(", ".join(map(str, counts_of(self.claims))))
            if self.cached:
                again = "--claims-again decides them again"
                terminal.write_line(f"{self.cached} as an earlier run of the same code decided ({again})")
            for said in (*spent_words(self.spent), *outlook_of_run(self.claims)):
                terminal.write_line(f"trials of {said}")
            for path in self.written:
                terminal.write_line(f"report: {path}")
        if self.problem:
            terminal.write_line(self.problem, red=True)


def leave_so_far(run: RunRecord, claims: Sequence[Record], decided: str) -> None:
    """Write the report of a run that goes on, and say so; what cannot be written is told at the end."""
    try:
        page, _ = write.write_report(report_folder(run.config), _document(run, claims, going_on=True))
    except IclClaimsError:
        return
    terminal: Any = run.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None and terminal.verbosity >= 0:
        end_line(run.config)
        terminal.write_line(f"decided: {decided}; page so far: {page}")


def leave(run: RunRecord, claims: Sequence[Record], *, interrupted: bool) -> SessionReport:
    """Write everything that a run leaves; it was interrupted if some of its claims were not reached."""
    config = run.config
    folder, named = report_folder(config), config.getoption("claims_compare")
    document = _document(run, claims, interrupted=interrupted)
    figures = config.getoption("claims_figures")
    try:
        before = _run_before(named, folder / "runs")
        comparison = compare.compare_runs(before, document) if before is not None else None
        written = write.write_report(folder, document, figures=Path(figures) if figures else None)
        saved = save_run(document, folder / "runs")
    except IclClaimsError as error:
        return SessionReport(document["claims"], problem=str(error))
    return SessionReport(
        document["claims"], (*written, saved), comparison, named is not None, "", run.cached, document["run"]["spent"]
    )


def _document(run: RunRecord, claims: Sequence[Record], **state: bool) -> Document:
    config, options = run.config, chosen_options(run.config)
    name, seconds = config.getoption("claims_name") or options["profile"], time.time() - run.started
    facts = run_facts(
        options, seconds=seconds, root=config.rootpath, name=name, spent=spent(run.watch.seconds), **state
    )
    return make_document(facts, claims, pictures=run.pictures, coverage=coverage_of_papers(claims))


def spent(seconds: Mapping[tuple[str, str], Sequence[float]]) -> list[dict[str, Any]]:
    """What trials cost that were run, by profile and task.

    >>> spent({("tiny", "sst2"): [1.0, 2.5]})
    [{'profile': 'tiny', 'task': 'sst2', 'trials': 2, 'seconds': 3.5}]
    """
    return [
        {"profile": profile, "task": task, "trials": len(each), "seconds": round(sum(each), 1)}
        for (profile, task), each in seconds.items()
    ]


def _run_before(named: str | None, folder: Path) -> Document | None:
    """The run that was named; else the newest saved one that can be read."""
    if named is not None:
        return read_document(find_run(named, folder))
    try:
        return read_document(find_run("last", folder))
    except IclClaimsError:
        return None


def print_summary(terminal: Any, claims: Sequence[Record], comparison: compare.RunComparison | None) -> None:
    """Print a line per claim, by section, with a word for each source of evidence; first what changed since before.

    The claims are in the papers' order. The terminal is pytest's reporter.
    """
    terminal.section("claims")
    if comparison is not None and comparison.verdicts:
        name = f" ({comparison.old['name']})" if comparison.old["name"] else ""
        terminal.write_line(f"changed since the run of {comparison.old['finished']}{name}")
        for change in comparison.verdicts:
            terminal.write(f"  {compare.claim_in_words(change.claim)}: {change.old} -> ")
            terminal.write(change.new, **_coloured(change.new))
            terminal.write_line("")
    for (paper, section), group in groupby(
        claims, key=lambda claim: (claim["paper"], ledger.section_of(claim["where"]))
    ):
        terminal.write_line(f"{words.paper_name(paper)}, {section[:1].lower()}{section[1:]}", bold=True)
        by_name: dict[str, list[Record]] = {}
        for claim in group:
            by_name.setdefault(claim["id"], []).append(claim)
        for name, records in by_name.items():
            _print_claim(terminal, name, records)


def _print_claim(terminal: Any, name: str, records: Sequence[Record]) -> None:
    terminal.write(f"  {name:<28}")
    for place, claim in enumerate(records):
        label = (
            f"needs {claim['condition']}:"
            if claim["condition"]
            else words.source_name(claim["source"], claim["profile"])
        )
        terminal.write(f"{';' if place else ''} {label} ")
        terminal.write(claim["verdict"], **_coloured(claim["verdict"]))
        terminal.write(" (as known)" if known_as(claim["verdict"], claim["known_refutation"]) else "")
    terminal.write_line("")


def _coloured(verdict: str) -> dict[str, bool]:
    return {OF_WORD[verdict].colour: True}
