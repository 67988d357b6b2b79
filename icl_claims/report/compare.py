"""What changed between two runs, verdicts, effects beyond their intervals, claims: as text, JSON or a page."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from icl_claims.claims import EVERY_TASK
from icl_claims.report import Record, ledger, words
from icl_claims.report.document import Document
from icl_claims.report.page import page_environment
from icl_claims.report.run_inputs import InputChange, changed_inputs
from icl_claims.tasks import title_of_task

Effect = dict[str, float]
"""A difference and its interval: `estimate`, `low` and `high`."""


@dataclass(frozen=True)
class ComparedClaim:
    """A record's claim, source and condition, by which two runs are compared."""

    paper: str
    id: str
    source: str
    profile: str
    condition: str
    where: str
    statement: str


@dataclass(frozen=True)
class VerdictChange:
    """A verdict that is another word now."""

    claim: ComparedClaim
    old: str
    new: str
    why: str


@dataclass(frozen=True)
class EffectChange:
    """A difference, on one task or pooled over all, whose two intervals have no value in common."""

    claim: ComparedClaim
    task: str
    old: Effect
    new: Effect


@dataclass(frozen=True)
class RunComparison:
    """An old run compared with a new one: facts of both, what changed, and how many records have the same verdict.

    What they rest on comes first: where the models or the data are others, so may be the verdicts.
    """

    old: dict[str, Any]
    new: dict[str, Any]
    inputs: tuple[InputChange, ...]
    verdicts: tuple[VerdictChange, ...]
    effects: tuple[EffectChange, ...]
    added: tuple[ComparedClaim, ...]
    gone: tuple[ComparedClaim, ...]
    same: int

    @property
    def verdict_changed(self) -> bool:
        """Whether any verdict is another word now."""
        return bool(self.verdicts)


def compare_runs(old: Document, new: Document) -> RunComparison:
    """Compare two documents record by record: the same claim, source, profile and condition.

    Where both runs have trials of a single set-up, and not of the same, these are compared with each other. A
    difference changed beyond its interval where the old and the new interval have no value in common.
    """
    alone = [_only_profile(document) for document in (old, new)]
    aside = None if None in alone or alone[0] == alone[1] else alone
    before, after = (
        {_key(claim, aside): claim for claim in document["claims"] if aside is None or _ran(claim)}
        for document in (old, new)
    )
    both = [(before[key], claim) for key, claim in after.items() if key in before]
    return RunComparison(
        old=old["run"],
        new=new["run"],
        inputs=changed_inputs(old, new),
        verdicts=tuple(
            VerdictChange(_compared(now), then["verdict"], now["verdict"], now["why"])
            for then, now in both
            if then["verdict"] != now["verdict"]
        ),
        effects=tuple(change for then, now in both for change in _effect_changes(then, now)),
        added=tuple(_compared(claim) for key, claim in after.items() if key not in before),
        gone=tuple(_compared(claim) for key, claim in before.items() if key not in after),
        same=sum(then["verdict"] == now["verdict"] for then, now in both),
    )


def _ran(claim: Record) -> bool:
    return claim["source"] != "trials" or bool(claim["provenance"].get("model"))


def _only_profile(document: Document) -> str | None:
    """The set-up of all trials that were run; None if there are several, or none."""
    found = {claim["profile"] for claim in document["claims"] if claim["source"] == "trials" and _ran(claim)}
    return found.pop() if len(found) == 1 else None


def _key(claim: Record, aside: list[str | None] | None) -> tuple[str, ...]:
    paper, name, source, profile, condition = ledger.key_of(claim)
    return paper, name, source, "" if aside is not None else profile, condition


def _compared(claim: Record) -> ComparedClaim:
    return ComparedClaim(**{name: claim[name] for name in ComparedClaim.__dataclass_fields__})


def _effect_changes(then: Record, now: Record) -> Iterator[EffectChange]:
    old, new = _effects(then), _effects(now)
    for task in new:
        if task in old and (old[task]["high"] < new[task]["low"] or new[task]["high"] < old[task]["low"]):
            yield EffectChange(_compared(now), task, old[task], new[task])


def _effects(claim: Record) -> dict[str, Effect]:
    """The differences of a record that have an interval, by task; over all of them last."""
    found = [
        (one["task"], {"estimate": one["difference"], "low": one["low"], "high": one["high"]}) for one in claim["tasks"]
    ]
    if claim["effect"]:
        found.append((EVERY_TASK, {name: claim["effect"][name] for name in ("estimate", "low", "high")}))
    return {task: effect for task, effect in found if None not in effect.values()}


def comparison_text(comparison: RunComparison) -> str:
    """The comparison in lines, the changed verdicts first."""
    return "\n".join(_lines(comparison)) + "\n"


def comparison_json(comparison: RunComparison) -> str:
    """The comparison for programs."""
    plain = asdict(comparison) | {"verdict_changed": comparison.verdict_changed}
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def comparison_page(comparison: RunComparison) -> str:
    """The comparison as a page without any outside resource."""
    page = page_environment().get_template("comparison.html.jinja")
    return page.render(comparison=comparison, claim_in_words=claim_in_words, effect_in_words=effect_in_words)


def claim_in_words(claim: ComparedClaim) -> str:
    """A claim with the source and the condition that tell its records apart."""
    condition = f", needs {claim.condition}" if claim.condition else ""
    return f"{claim.id} ({words.source_name(claim.source, claim.profile)}{condition})"


def effect_in_words(effect: Effect) -> str:
    """A difference and its interval."""
    return f"{words.number(effect['estimate'])} {words.interval(effect['low'], effect['high'])}"


def _lines(comparison: RunComparison) -> Iterator[str]:
    for title, facts in (("old", comparison.old), ("new", comparison.new)):
        yield f"{title}: {facts['finished']} {facts['name']} {facts['commit']}".rstrip()
    for change in comparison.inputs:
        yield f"  {change.what}: {change.old or 'none'} -> {change.new or 'none'}"
    yield f"{comparison.same} verdicts are the same."
    yield f"{len(comparison.verdicts)} verdicts changed{':' if comparison.verdicts else '.'}"
    for verdict in comparison.verdicts:
        yield f"  {claim_in_words(verdict.claim)}: {verdict.old} -> {verdict.new}. {verdict.why}"
    if comparison.effects:
        yield f"{len(comparison.effects)} differences changed beyond their intervals:"
        for effect in comparison.effects:
            old, new = effect_in_words(effect.old), effect_in_words(effect.new)
            yield f"  {claim_in_words(effect.claim)}, {title_of_task(effect.task)}: {old} -> {new}"
    for title, claims in (("added", comparison.added), ("gone", comparison.gone)):
        if claims:
            yield f"{len(claims)} {title}: {', '.join(map(claim_in_words, claims))}"
