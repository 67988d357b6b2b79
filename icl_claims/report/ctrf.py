"""A run in the Common Test Report Format, version 1.0 (https://ctrf.io)."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from icl_claims.report import Record
from icl_claims.report.document import Document
from icl_claims.report.order import key_of, section_of
from icl_claims.report.sentence import reasons

SPECIFICATION = "1.0.0"
STATUSES = ("passed", "failed", "skipped", "pending", "other")
# A known refutation is an expected failure, and what cannot be told neither passed nor failed.
STATUS = {"supported": "passed", "refuted": "failed", "inconclusive": "other", "not run": "skipped", "error": "failed"}
_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "urn:icl-claims")


def as_ctrf(document: Document) -> dict[str, Any]:
    """The document as a CTRF report: a test for each record, its verdict as `rawStatus`, its effect as labels."""
    run = document["run"]
    stop = _milliseconds(run["finished"])
    tests = [_test(claim) for claim in document["claims"]]
    counts = Counter(test["status"] for test in tests)
    return {
        "reportFormat": "CTRF",
        "specVersion": SPECIFICATION,
        "reportId": str(uuid.uuid5(_NAMES, f"{run['finished']} {run['commit']} {run['name']}")),
        "timestamp": run["finished"],
        "generatedBy": f"icl_claims {run['icl_claims']}",
        "results": {
            "tool": {"name": "pytest", "version": run["libraries"].get("pytest", "")},
            "summary": {
                "tests": len(tests),
                **{status: counts[status] for status in STATUSES},
                "start": stop - round(1000 * run["seconds"]),
                "stop": stop,
            },
            "tests": tests,
            "environment": {
                "appName": "icl_claims",
                "appVersion": run["icl_claims"],
                "commit": run["commit"],
                "extra": {"machine": run["machine"], "python": run["python"], "options": run["options"]},
            },
        },
    }


def _test(claim: Record) -> dict[str, Any]:
    known = claim["verdict"] == "refuted" and claim["known_refutation"]
    labels = {
        "id": claim["id"],
        "paper": claim["paper"],
        "where": claim["where"],
        "source": claim["source"],
        "profile": claim["profile"],
        "condition": claim["condition"],
    }
    if claim["effect"]:
        labels |= {f"effect_{name}": claim["effect"][name] for name in ("estimate", "low", "high")}
    return {
        "id": str(uuid.uuid5(_NAMES, " ".join(key_of(claim)))),
        "name": claim["statement"] + (f" Needed: {claim['condition']}." if claim["condition"] else ""),
        "status": "other" if known else STATUS[claim["verdict"]],
        "rawStatus": claim["verdict"] + (", as known" if known else ""),
        "duration": round(1000 * claim.get("seconds", 0.0)),
        "suite": [claim["paper"], section_of(claim["where"])],
        "message": reasons(claim),
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
