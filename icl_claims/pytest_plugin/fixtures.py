"""The fixtures of a claim: the evidence it asks, and the word that records its verdict."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import ClaimError, IclClaimsError
from icl_claims.pytest_plugin.columns import choices_of
from icl_claims.pytest_plugin.options import pytest_option
from icl_claims.pytest_plugin.records import UNFINISHED, CachedVerdict, claim_of, mark_of, source_of, verdict_record

if TYPE_CHECKING:
    from icl_claims.claims import Claim, Comparison, NullVerdict, Verdict
    from icl_claims.evidence.exact import ExactEvidence
    from icl_claims.models import LanguageModel
    from icl_claims.pytest_plugin.trials_of_run import TrialsOfRun
    from icl_claims.pytest_plugin.verdict_cache import VerdictCache

REFUTATIONS = "known_refutations.toml"


@pytest.fixture(scope="session")
def model(pytestconfig: pytest.Config) -> LanguageModel:
    """The model of the run, loaded once."""
    choices = choices_of(pytestconfig)
    with named_errors(), visible(pytestconfig) as say:
        return choices.load_model(say)


@pytest.fixture(scope="session")
def trials(pytestconfig: pytest.Config, cached: VerdictCache) -> TrialsOfRun:
    """The trials of a profile, run once and stored; absent evidence where they cannot be run here."""
    from icl_claims.pytest_plugin import trials_of_run

    return trials_of_run.TrialsOfRun(pytestconfig, cached)


@pytest.fixture(scope="session")
def cached(request: pytest.FixtureRequest) -> VerdictCache:
    """The verdicts that the same code reached before; those of this run alone if every claim is to be decided again."""
    from icl_claims.pytest_plugin.verdict_cache import verdict_cache

    items: Any = request.session.items
    tests = {item.path: item.module.__name__ for item in items if mark_of(item)}
    with named_errors():
        return verdict_cache(request.config, tests, again=request.config.getoption("claims_again"))


@pytest.fixture
def evidence(request: pytest.FixtureRequest, cached: VerdictCache) -> Any:
    """The evidence that the test's parameter names; the verdict itself where the same evidence gave one before."""
    source, profile = request.param
    claim = _claim(request.node)
    with named_errors():
        if known := cached.get(request.node.nodeid, source, _digest_of_evidence(request)):
            return known
        if source == "exact":
            return _exact_evidence(request)
        if source == "printed":
            from icl_claims.evidence.printed import PrintedEvidence

            return PrintedEvidence(claim.paper.id)
        if source == "author_runs":
            from icl_claims.evidence.author_runs import AuthorRunsEvidence

            return AuthorRunsEvidence()
        return request.getfixturevalue("trials")(profile, request.node.nodeid)


def _exact_evidence(request: pytest.FixtureRequest) -> ExactEvidence:
    """Exact evidence, under Hypothesis's settings for claims until the test is over."""
    from icl_claims.evidence.exact import exact_evidence

    seed, chosen = _examples(request.config)
    named = f" --hypothesis-profile={request.config.getoption('hypothesis_profile')}" if chosen else ""
    again = f"icl-claims run {quote(request.node.nodeid)} --claims-again{named}"
    lent = ExitStack()
    request.addfinalizer(lent.close)
    return lent.enter_context(exact_evidence(chosen=chosen, seed=seed, again=again))


def _examples(config: pytest.Config) -> tuple[str | None, bool]:
    """The seed of examples that the reader asked for, and whether they chose a profile of Hypothesis."""
    seed, profile = (config.getoption(f"hypothesis_{name}", None) for name in ("seed", "profile"))
    return seed, profile is not None


@pytest.fixture
def decide(request: pytest.FixtureRequest, cached: VerdictCache) -> Callable[..., None]:
    """Record a verdict, and give the test the outcome that belongs to it.

    It takes a `Verdict`, or a `Comparison` that the claim's rule decides, with other comparisons that are shown
    `beside` it and do not decide, and what the rule says of `nulls`.
    """

    def decided(
        found: Verdict | Comparison, *, beside: Iterable[Comparison] = (), nulls: Sequence[NullVerdict] = ()
    ) -> None:
        from icl_claims.claims import Verdict
        from icl_claims.claims.comparison import with_null_band
        from icl_claims.evidence.printed import with_printed_numbers
        from icl_claims.evidence.verdicts import bound_by
        from icl_claims.report.verdicts import ON_PRINTED

        claim = _claim(request.node)
        asked = request.getfixturevalue("evidence")
        if not isinstance(found, Verdict):
            beside = (*found.parts, *beside)
            papers_model = asked.source == "trials" and asked.details.get("profile") == "paper"
            shown = with_printed_numbers(found, claim.paper.id, same_model=papers_model)
            found = bound_by(nulls, claim.rule.decide(with_null_band(shown, beside), beside))
        if asked.source == "printed":
            found = replace(found, word=ON_PRINTED.get(found.word, found.word))
        record = verdict_record(found, asked.provenance() if hasattr(asked, "provenance") else {})
        digest = _digest_of_evidence(request)
        of_run, profile, test = request.getfixturevalue("trials"), source_of(request.node)[1], request.node.nodeid
        if asked.source == "trials":
            record |= of_run.facts(profile, test, found)
        if digest and asked.source == "trials":
            record["provenance"] = {**record["provenance"], "draws": of_run.draws(profile, test)}
        if digest:
            cached.put(request.node.nodeid, asked.source, digest, record)
        if asked.source == "trials":
            request.node.user_properties.append(("pictures", of_run.pictures(profile)))
        _report(request, asked.source, record)

    return decided


def check_decided(item: pytest.Item) -> None:
    """Refuse a claim's test that went through and decided nothing.

    Raises:
        ClaimError: It never called `decide`.
    """
    claim = claim_of(item)
    if claim is not None and "verdict" not in claim:
        todo = "Take the fixture `decide` and call it, or return a question."
        raise ClaimError(
            f"The test of the claim {claim['id']} ended and decided nothing", expected="a verdict", todo=todo
        )


def _claim(item: Any) -> Claim:
    mark = mark_of(item)
    if mark is None:
        wanted, todo = "a test that decides a claim", "Declare one: @paper.claim(...)."
        raise ClaimError(
            "The fixtures `evidence` and `decide` are for claims", expected=wanted, got=item.nodeid, todo=todo
        )
    claim: Claim = mark.args[0]
    return claim


def report_again(node: pytest.Function, verdict: CachedVerdict) -> None:
    """Give a claim's test the outcome that belongs to a verdict that was reached before."""
    request: pytest.FixtureRequest = node._request
    node.user_properties.append(("cached", verdict.written.isoformat()))
    if verdict.source == "trials":
        drawn = request.getfixturevalue("trials").pictures(source_of(node)[1])
        node.user_properties.append(("pictures", drawn))
    _report(request, verdict.source, verdict.record)


def _digest_of_evidence(request: pytest.FixtureRequest) -> str:
    """Cache key of the evidence, code apart; empty if another run could not reproduce it."""
    source, profile = request.node.callspec.params["evidence"]
    if source == "exact" and _examples(request.config) == (None, True):
        return ""
    if source != "trials":
        return str(source)
    digest: str = request.getfixturevalue("trials").digest(profile, request.node.nodeid)
    return digest


def _report(request: pytest.FixtureRequest, source: str, record: dict[str, Any]) -> None:
    from icl_claims.report.verdicts import OF_WORD, REFUTING
    from icl_claims.report.words import reasons

    known, word, why = expected_refutation(request.node, source), record["verdict"], reasons(record)
    more = {"known_refutation": known or "", **said_elsewhere(request.node, source)}
    request.node.user_properties.append(("verdict", record | more))
    if word in REFUTING:
        if known is not None:
            pytest.xfail(f"{word}, as known: {known}")
        pytest.fail(f"{word}: {why}", pytrace=False)
    unfinished = record["provenance"].get("draws", "").endswith(UNFINISHED)
    if known is not None and not unfinished:
        pytest.fail(f"{word}, but it is registered as refuted ({known}): {why}", pytrace=False)
    if OF_WORD[word].test == "skipped":
        pytest.skip(f"{word}: {why}")


def expected_refutation(item: Any, source: str) -> str | None:
    """Why the claim of a test is known to be refuted on a source; None if it is not.

    The file lies beside the claims, or in a folder above them. An entry about trials holds for one profile, and only
    where the reader changed nothing of it.

    Raises:
        ClaimError: The file is malformed.
    """
    from icl_claims.claims.registry import nearest_file

    claim, (_, profile) = _claim(item).id, item.callspec.params["evidence"]
    file = nearest_file(REFUTATIONS, item.path.parent, item.config.rootpath)
    if file is None:
        return None
    if source != "trials":
        return known_refutations(file).get((claim, source, ""))
    choices = choices_of(item.config, profile)
    return None if choices.changed else known_refutations(file).get((claim, source, choices.profile.name))


def said_elsewhere(item: Any, source: str) -> dict[str, Any]:
    """What fresh draws and other specifications said of a test's claim by the rule that it has, as plain data.

    Nothing is known but of a profile that runs as it stands.
    """
    from icl_claims.claims.beside import REPLICATIONS, SPECIFICATIONS
    from icl_claims.claims.registry import nearest_file

    known: dict[str, Any] = {"replication": None, "specifications": None}
    choices = choices_of(item.config, item.callspec.params["evidence"][1]) if source == "trials" else None
    if choices is None or choices.changed:
        return known
    declared = claim_of(item) or {}
    for name, file in (("replication", REPLICATIONS), ("specifications", SPECIFICATIONS)):
        path = nearest_file(file.name, item.path.parent, item.config.rootpath)
        entry = None if path is None else file.read(path).get((choices.profile.name, _claim(item).id))
        if entry is not None and entry.rule == declared.get("rule_digest"):
            known[name] = entry.record
    return known


@cache
def known_refutations(path: Path) -> dict[tuple[str, str, str], str]:
    """Reasons by claim, source and, for trials, profile."""
    from icl_claims.claims import SOURCES
    from icl_claims.claims.beside import LEAST_SHARE, REPLICATIONS
    from icl_claims.experiments.profiles import PROFILES

    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("refuted", [])
        known = {(entry["claim"], entry["source"], entry.get("profile", "")): entry["reason"] for entry in entries}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        wanted = "tables [[refuted]] with claim, source and reason"
        raise ClaimError(f"{path} is malformed", expected=wanted, got=str(error)) from error
    for claim, source, profile in known:  # an entry that is never looked up would pass in silence
        profiles = PROFILES if source == "trials" else ("",)
        if source not in SOURCES or profile not in profiles:
            wanted = f"a source of {', '.join(SOURCES)}, with a profile of {', '.join(PROFILES)} for trials alone"
            got = f"{source!r}, {profile!r}"
            raise ClaimError(f"{path} registers {claim} for nothing that there is", expected=wanted, got=got)
        found = REPLICATIONS.read(path.with_name(REPLICATIONS.name)).get((profile, claim))
        if found is not None and found.share("refuted") < LEAST_SHARE:
            got = f"{found.said.count('refuted')} of {len(found.said)} groups of {found.replicates} draws"
            wanted = f"refuted in at least {LEAST_SHARE:.0%} of groups of fresh draws"
            raise ClaimError(f"{path} registers {claim}, which does not replicate", expected=wanted, got=got)
    return known


@contextmanager
def named_errors() -> Iterator[None]:
    """Our own errors speak for themselves: no traceback around them."""
    try:
        yield
    except IclClaimsError as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error.as_told(pytest_option)}", pytrace=False) from None


def end_line(config: pytest.Config) -> None:
    """Go to a new line of the terminal, where letters of tests stand on this one."""
    writer = config.get_terminal_writer()
    if writer.width_of_current_line:
        writer.line()


@contextmanager
def visible(config: pytest.Config) -> Iterator[Callable[[str], None]]:
    """Output reaches the terminal while this lasts; nothing is said by an xdist worker or under -q."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if hasattr(config, "workerinput") or capture is None or config.get_verbosity() < 0:
        yield lambda _text: None
        return
    with capture.global_and_fixture_disabled():
        yield lambda text: config.get_terminal_writer().write(f"\n{text}\n", flush=True)
