"""A comparison of two runs as text, JSON or a page."""

from __future__ import annotations

import json
from collections.abc import Iterator

from icl_claims.report.compare import Compared, Effect, RunComparison
from icl_claims.report.names import source_name
from icl_claims.report.numbers import interval, number
from icl_claims.report.page import page_environment
from icl_claims.tasks import title_of_task


def comparison_text(comparison: RunComparison) -> str:
    """The comparison in lines, the changed verdicts first."""
    return "\n".join(_lines(comparison)) + "\n"


def comparison_json(comparison: RunComparison) -> str:
    """The comparison for programs."""
    return json.dumps(comparison.as_plain_data(), indent=1, ensure_ascii=False) + "\n"


def comparison_page(comparison: RunComparison) -> str:
    """The comparison as a page without any outside resource."""
    page = page_environment().get_template("comparison.html.jinja")
    words = {"claim_in_words": claim_in_words, "effect_in_words": effect_in_words}
    return page.render(comparison=comparison, **words)


def claim_in_words(claim: Compared) -> str:
    """A claim with the source and the condition that tell its records apart."""
    condition = f", needs {claim.condition}" if claim.condition else ""
    return f"{claim.id} ({source_name(claim.source, claim.profile)}{condition})"


def effect_in_words(effect: Effect) -> str:
    """A difference and its interval."""
    return f"{number(effect.estimate)} {interval(effect.low, effect.high)}"


def _lines(comparison: RunComparison) -> Iterator[str]:
    for title, facts in (("old", comparison.old), ("new", comparison.new)):
        yield f"{title}: {facts['finished']} {facts['name']} {facts['commit']}".rstrip()
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
