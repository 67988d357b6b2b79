"""A run in the forms of others: the Common Test Report Format, and the Evaluation and Report Language as JSON-LD."""

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from icl_claims.report import Record, ledger, words
from icl_claims.report.document import Document
from icl_claims.report.verdicts import OF_WORD, known_as

STATUSES = ("passed", "failed", "skipped", "pending", "other")
_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "urn:icl-claims")


def as_ctrf(document: Document) -> dict[str, Any]:
    """The document as a CTRF report: a test for each record, its verdict as `rawStatus`, its effect as labels."""
    run = document["run"]
    stop = _milliseconds(run["finished"])
    time = {"start": stop - round(1000 * run["seconds"]), "stop": stop}
    tests = [_test(claim) for claim in document["claims"]]
    counts = Counter(test["status"] for test in tests)
    return {
        "reportFormat": "CTRF",
        "specVersion": "1.0.0",
        "reportId": str(uuid.uuid5(_NAMES, f"{run['finished']} {run['commit']} {run['name']}")),
        "timestamp": run["finished"],
        "generatedBy": f"icl_claims {run['icl_claims']}",
        "results": {
            "tool": {"name": "pytest", "version": run["libraries"].get("pytest", "")},
            "summary": {"tests": len(tests), **{status: counts[status] for status in STATUSES}, **time},
            "tests": tests,
            "environment": {
                "appName": "icl_claims",
                "appVersion": run["icl_claims"],
                "commit": run["commit"],
                "extra": {name: run[name] for name in ("machine", "python", "options")},
            },
        },
    }


def _test(claim: Record) -> dict[str, Any]:
    known = known_as(claim["verdict"], claim["known_refutation"])
    named = ("id", "paper", "where", "source", "profile", "condition", "known_refutation")
    labels = {name: claim[name] for name in named}
    if claim["effect"]:
        labels |= {f"effect_{name}": value for name, value in claim["effect"].items()}
    return {
        "id": str(uuid.uuid5(_NAMES, " ".join(ledger.key_of(claim)))),
        "name": _statement(claim),
        "status": "other" if known else OF_WORD[claim["verdict"]].ctrf,
        "rawStatus": known or claim["verdict"],
        "duration": round(1000 * claim.get("seconds", 0.0)),
        "suite": [claim["paper"], ledger.section_of(claim["where"])],
        "message": words.reasons(claim),
        "tags": [claim["source"]],
        "labels": {name: value for name, value in labels.items() if value not in ("", None)},
        "filePath": claim["test"].partition("::")[0],
    }


def _milliseconds(finished: str) -> int:
    try:
        time = datetime.fromisoformat(finished)
    except ValueError:
        return 0
    return round(1000 * (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


_CONTEXT = {
    "earl": "http://www.w3.org/ns/earl#",
    "dct": "http://purl.org/dc/terms/",
    "doap": "http://usefulinc.com/ns/doap#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    **{name: {"@id": f"earl:{name}", "@type": "@id"} for name in ("assertedBy", "subject", "test", "mode", "outcome")},
    "isPartOf": {"@id": "dct:isPartOf", "@type": "@id"},
    "result": "earl:result",
    "info": "earl:info",
    **{name: f"dct:{name}" for name in ("title", "description", "identifier")},
    "date": {"@id": "dct:date", "@type": "xsd:dateTime"},
}
ASSERTOR = "urn:icl-claims:assertor"
KNOWN = "urn:icl-claims:outcome:known-refutation"


def as_earl(document: Document) -> dict[str, Any]:
    """The document as one JSON-LD graph: an assertion for each record; claims are test criteria, sources subjects."""
    run, claims = document["run"], document["claims"]
    titles = {claim["paper"]: ledger.title_of_paper(claim) for claim in claims}
    papers = [_node(_urn("paper", name), "dct:BibliographicResource", title=title) for name, title in titles.items()]
    subjects = {_subject(claim): _subject_node(claim) for claim in claims}
    criteria = {_criterion(claim): _criterion_node(claim) for claim in claims}
    assertor = _node(ASSERTOR, "earl:Software", title="icl_claims", description=f"version {run['icl_claims']}")
    assertions = [_assertion(claim, run["finished"]) for claim in claims]
    known = _node(KNOWN, "earl:Fail", title="a failure that is known", description="It is registered with its reason.")
    graph = [assertor, known, *papers, *subjects.values(), *criteria.values(), *assertions]
    return {"@context": _CONTEXT, "@graph": graph}


def _assertion(claim: Record, finished: str) -> dict[str, Any]:
    known, reason = known_as(claim["verdict"], claim["known_refutation"]), claim["known_refutation"]
    said = {
        "outcome": KNOWN if known else OF_WORD[claim["verdict"]].earl,
        "title": known or claim["verdict"],
        "info": words.reasons(claim) + (f" Known: {reason}" if reason else ""),
    }
    return {
        "@type": "earl:Assertion",
        "assertedBy": ASSERTOR,
        "subject": _subject(claim),
        "test": _criterion(claim),
        "mode": "earl:automatic",
        "result": {"@type": "earl:TestResult", **said, "date": finished},
    }


def _criterion_node(claim: Record) -> dict[str, Any]:
    place_and_rule = f"{claim['where']}; rule: {claim['rule']}"
    facts = {"identifier": claim["id"], "title": _statement(claim), "description": place_and_rule}
    return _node(_criterion(claim), "earl:TestCriterion", **facts, isPartOf=_urn("paper", claim["paper"]))


def _subject_node(claim: Record) -> dict[str, Any]:
    named = {name: claim["provenance"].get(name) for name in ("model", "data")}
    facts = ", ".join(f"{name} {value}" for name, value in named.items() if isinstance(value, str) and value)
    title = f"{claim['paper']}: {words.source_name(claim['source'], claim['profile'])}"
    return _node(_subject(claim), "earl:TestSubject", title=title, **({"description": facts} if facts else {}))


def _statement(claim: Record) -> str:
    return f"{claim['statement']} Needed: {claim['condition']}." if claim["condition"] else str(claim["statement"])


def _criterion(claim: Record) -> str:
    return _urn("claim", claim["paper"], claim["id"], *filter(None, [claim["condition"]]))


def _subject(claim: Record) -> str:
    return _urn("evidence", claim["paper"], claim["source"], *filter(None, [claim["profile"]]))


def _urn(*parts: str) -> str:
    return ":".join(["urn:icl-claims", *(quote(part, safe="") for part in parts)])


def _node(name: str, kind: str, **facts: str) -> dict[str, Any]:
    return {"@id": name, "@type": kind, **facts}
