"""The ledger: records in the papers' order, entries with everything that was decided, and where the numbers come from.

An entry is one claim of a paper. Behind its records stand lists, of our trials or of the authors' runs, and a command
that decides the claim again.
"""

import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from icl_claims.claims import PAPERS, SOURCES
from icl_claims.experiments.options import SECOND
from icl_claims.experiments.profiles import PROFILES
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.report import Record
from icl_claims.report.words import source_name
from icl_claims.tasks import title_of_task

# What differs between two runs of the same trials, or is too long to read.
NOT_SHOWN = ("finished", "seconds", "demonstration_rows")
_PART = re.compile(r"(abstract|appendix [a-z]\b|(?:section|table|figure) [0-9]+(?:\.[0-9]+)*)", re.IGNORECASE)
_KINDS = ("abstract", "section", "appendix", "table", "figure")
_ALWAYS = ("task", "seed", "permutation", "queries", "run")


def section_of(where: str) -> str:
    """The part of a paper that a place opens with, such as `Section 3.2`; `elsewhere` where it names none."""
    part = _PART.match(where.strip())
    return part[1][0].upper() + part[1][1:] if part else "elsewhere"


def title_of_paper(claim: Record) -> str:
    """The title of a record's paper, which a reader's own brings along; its id if it has none."""
    known = PAPERS.get(claim["paper"])
    return str(claim["paper_title"]) or (claim["paper"] if known is None else known.title)


def key_of(claim: Record) -> tuple[str, str, str, str, str]:
    """Key of a record, unique in a run: paper, id, source, profile, condition."""
    return claim["paper"], claim["id"], claim["source"], claim["profile"], claim["condition"]


def place_in_papers(claim: Record) -> tuple[Any, ...]:
    """What records are sorted by: paper, place in it, id, source and profile; what a claim needs comes after it.

    A reader's own papers come last.
    """
    papers, sources = list(PAPERS), list(SOURCES)
    paper, source, where = claim["paper"], claim["source"], claim["where"]
    kind, _, number = section_of(where).lower().partition(" ")
    return (
        papers.index(paper) if paper in papers else len(papers),
        paper,
        _KINDS.index(kind) if kind in _KINDS else len(_KINDS),
        _numbers(number),
        _numbers(where),
        claim["id"],
        claim["condition"],
        sources.index(source) if source in sources else len(sources),
        [*PROFILES, claim["profile"]].index(claim["profile"]),
    )


def _numbers(text: str) -> list[tuple[int, str]]:
    """Digits as numbers, so that 10 stands behind 2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"[0-9]+|[^0-9]+", text)]


@dataclass(frozen=True)
class ClaimEntry:
    """One claim of a paper.

    Args:
        anchor: Its place in the page's address; the claim's id where no other claim has it.
        deciding: Its records, one for each source and profile.
        conditions: Records that show what the claim needs.
        broken: Variants, broken on purpose, under which the project's tests see it refuted.
    """

    anchor: str
    deciding: tuple[Record, ...]
    conditions: tuple[Record, ...]
    broken: tuple[str, ...]

    @property
    def first(self) -> Record:
        """The record that its words are taken from."""
        return (*self.deciding, *self.conditions)[0]

    @property
    def section(self) -> str:
        """The part of the paper where it stands."""
        return section_of(self.first["where"])

    @property
    def verdicts(self) -> tuple[str, ...]:
        """`source:verdict` of each of its records, for a filter."""
        found = (f"{claim['source']}:{claim['verdict'].replace(' ', '-')}" for claim in self.deciding)
        return tuple(dict.fromkeys(found))

    def counted(self, source: str) -> dict[str, int]:
        """How many of its records of a source got each word, the most frequent first."""
        return dict(Counter(claim["verdict"] for claim in self.deciding if claim["source"] == source).most_common())

    @property
    def in_sight(self) -> tuple[str, ...]:
        """Why its rule was written with its numbers in sight, each reason once; none where it was not."""
        return tuple(dict.fromkeys(claim["rule_in_sight"] for claim in self.deciding if claim["rule_in_sight"]))

    @property
    def effect(self) -> float:
        """The size of its largest pooled effect, to sort by; 0 where there is none."""
        sizes = (abs(claim["effect"]["estimate"] or 0.0) for claim in self.deciding if claim["effect"])
        return max(sizes, default=0.0)


@dataclass(frozen=True)
class Section:
    """A part of a paper with claims in it."""

    paper: str
    title: str
    entries: list[ClaimEntry]

    @property
    def paper_title(self) -> str:
        """Title of the paper."""
        return title_of_paper(self.entries[0].first)


def entries_of(claims: Sequence[Record]) -> list[ClaimEntry]:
    """The entries of records that stand in the papers' order."""
    groups, broken = defaultdict[tuple[str, str], list[Record]](list), defaultdict[str, list[str]](list)
    for claim in claims:
        groups[claim["paper"], claim["id"]].append(claim)
    for control in json.loads((fixtures_folder() / "controls.json").read_text(encoding="utf-8")):
        broken[control["claim"]].append(control["broken"])
    entries: list[ClaimEntry] = []
    for (paper, name), records in groups.items():
        anchor = f"{paper}-{name}" if any(name == entry.anchor for entry in entries) else name
        deciding = tuple(record for record in records if not record["condition"])
        conditions = tuple(record for record in records if record["condition"])
        variants = tuple(broken[name]) if records[0]["source"] == "exact" else ()
        entries.append(ClaimEntry(anchor, deciding, conditions, variants))
    return entries


def sections_of(entries: Iterable[ClaimEntry]) -> list[Section]:
    """Entries gathered by paper and section, in their order."""
    groups = defaultdict[tuple[str, str], list[ClaimEntry]](list)
    for entry in entries:
        groups[entry.first["paper"], entry.section].append(entry)
    return [Section(paper, title, group) for (paper, title), group in groups.items()]


@dataclass(frozen=True, eq=False)
class Listing:
    """A list, of trials or of the authors' runs, that several claims were decided on.

    Args:
        anchor: Its place in the page's address.
        kind: What it lists: `trials` or `runs`.
        title: Whose it is.
        facts: What is true of all of it.
        lines: One for each trial or run.
    """

    anchor: str
    kind: str
    title: str
    facts: dict[str, Any]
    lines: Sequence[Record]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The facts that differ between its lines, or are worth a column."""
        names = dict.fromkeys(name for line in self.lines for name in line if name not in NOT_SHOWN)
        differing = {name for name in names if len({str(line.get(name)) for line in self.lines}) > 1}
        return tuple(name for name in names if name in _ALWAYS or name in differing)

    @property
    def shared(self) -> dict[str, Any]:
        """The facts that all of its lines have in common."""
        first, apart = self.lines[0], (*NOT_SHOWN, *self.columns)
        return {name: first[name] for name in first if name not in apart and first[name] != []}

    def tasks(self) -> list[str]:
        """Each task of trials in words: queries, demonstrations, seeds."""
        by_task = defaultdict[str, list[Record]](list)
        for line in self.lines:
            by_task[str(line.get("task", ""))].append(line)
        return [_task_in_words(task, lines) for task, lines in by_task.items()]


def _task_in_words(task: str, trials: Sequence[Record]) -> str:
    queries, drawn = trials[0].get("queries"), trials[0].get("k")
    shown = trials[0].get("demonstrations_in_context", drawn)
    seeds = list(dict.fromkeys(trial.get("seed") for trial in trials))
    seeds_in_words = f"seed{'s' if len(seeds) > 1 else ''} {_in_runs(seeds)}"
    return f"{title_of_task(task)} ({queries} queries, {shown} of {drawn} demonstrations, {seeds_in_words})"


def _in_runs(seeds: Sequence[Any]) -> str:
    """Seeds with commas between; three or more that follow one another as `0 to 23`."""
    runs: list[list[Any]] = []
    for seed in seeds:
        if runs and isinstance(seed, int) and runs[-1][-1] == seed - 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def listings_of(claims: Iterable[Record]) -> dict[str, Listing]:
    """The different lists behind the claims of a run, by the text that `keys_of_listings` gives."""
    found: dict[str, Listing] = {}
    for claim in claims:
        for kind, key in keys_of_listings(claim):
            if key not in found:
                facts = {name: value for name, value in _of_run(claim).items() if not _is_list(value) and value}
                title = source_name(claim["source"], claim["profile"])
                found[key] = Listing(f"page-{kind}-{len(found) + 1}", kind, title, facts, claim["provenance"][kind])
    return found


def keys_of_listings(claim: Record) -> Iterator[tuple[str, str]]:
    """The kind of each list behind a record, and a key that differs from that of every other list."""
    for kind, lines in claim["provenance"].items():
        if _is_list(lines):
            shown = [{name: line[name] for name in line if name not in NOT_SHOWN} for line in lines]
            yield kind, json.dumps({**_of_run(claim), kind: shown}, sort_keys=True, default=str)


def _of_run(claim: Record) -> dict[str, Any]:
    """The facts of a record's provenance that are true of the run, and not of this claim alone."""
    return {name: value for name, value in claim["provenance"].items() if name != "draws"}


def other_facts(claim: Record) -> dict[str, str]:
    """Where a record's numbers come from, its lists apart."""
    return {name: in_words(value) for name, value in claim["provenance"].items() if value and not _is_list(value)}


def in_words(value: object) -> str:
    """A fact as text: lists with commas, mappings as `name value`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(in_words, value))
    return str(value)


def command_of(claim: Record, options: Mapping[str, Any]) -> str:
    """The shell command that decides just this claim again, on the same evidence; `options` are those of its run."""
    profile, chosen = claim["profile"], dict(options)
    of_model = (chosen.pop("models", None) or {}).get(profile)
    test = claim["test"] if of_model is None else claim["test"].replace(f"[trials-{profile}]", "[trials]")
    words = ["icl-claims", "run", test]
    if claim["source"] == "trials":
        of_profile = profile if of_model is None else str(of_model["profile"])
        if claim["asks"] is not None:  # its profile may not run by itself what the claim asks for
            known = PROFILES[of_profile].studies if of_profile in PROFILES else ()
            asked = [study for study in claim["asks"]["studies"] if study not in ("main", *known)]
            chosen.pop("studies", None)
            chosen |= {"studies": ",".join(asked)} if asked else {}
        if of_model is not None:
            chosen |= of_model
        elif profile == "paper":
            chosen = {"model": "fairseq:DIR", "data": "DIR", **chosen}
        elif profile == SECOND and options.get("profile") != SECOND:  # which a run of two profiles has beside the first
            chosen.pop("profile", None)
        else:
            chosen["profile"] = profile
        for name, value in chosen.items():
            words += [f"--claims-{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(line, Mapping) for line in value)
