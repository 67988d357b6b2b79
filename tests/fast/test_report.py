"""The report shows every claim once, escapes what it is told, and is the same for the same run."""

from __future__ import annotations

import json
import re

import pytest

from icl_claims.report.interval_plot import interval_plot
from icl_claims.report.write import render, write_report

RUN = {
    "finished": "2026-01-01T00:00:00+00:00",
    "seconds": 1.0,
    "options": {},
    "icl_claims": "0",
    "python": "3",
    "machine": "some machine",
    "libraries": {"torch": "2"},
    "commit": "",
}
FINDING = {
    "task": "sst2",
    "outcome": "holds",
    "left": 0.5,
    "right": 0.25,
    "difference": 0.25,
    "low": 0.1,
    "high": 0.4,
    "queries": 8,
    "note": "",
}


def claim(name="ft-am-rises", **changes):
    return {
        "id": name,
        "source": "trials",
        "profile": "embedded",
        "paper": "rethinking",
        "where": "section 3.2",
        "statement": "Something holds.",
        "rule": "holds on at least 5 of 6 tasks",
        "condition": "",
        "test": "claims/test.py::test",
        "verdict": "supported",
        "why": "Because.",
        "known_refutation": "",
        "cases": 0,
        "tasks": [FINDING],
        "provenance": {},
        **changes,
    }


def test_a_claim_with_several_sources_is_one_entry_with_a_badge_each():
    page = render(RUN, [claim(), claim(source="printed", profile="", verdict="refuted")])
    assert page.count('<details id="ft-am-rises">') == 1
    assert "trials: supported" in page
    assert "printed: refuted" in page


def test_a_condition_stands_in_the_entry_of_its_claim():
    page = render(RUN, [claim(source="exact", tasks=[]), claim(source="exact", tasks=[], condition="no bias")])
    assert page.count("<details ") == 1
    assert "needs no bias" in page
    assert "shown to be needed" in page


def test_negative_controls_of_an_exact_claim_are_counted():
    page = render(RUN, [claim("dual-delta-w", source="exact", tasks=[])])
    assert "Broken on purpose" in page
    assert re.search(r"\d+ broken variants of 1 claims", page)


@pytest.mark.parametrize("hostile", ['<script>alert("x")</script>', '"><img src=x>', "\u202eright to left"])
def test_what_data_say_is_shown_as_text(hostile):
    page = render(RUN, [claim(statement=hostile, why=hostile, tasks=[{**FINDING, "task": hostile, "note": hostile}])])
    assert "<img" not in page
    assert page.count("<script>") == 1


def test_the_same_run_gives_the_same_bytes(tmp_path):
    pages = [write_report(tmp_path / name, RUN, [claim()])[0].read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_claims_stand_in_the_papers_order(tmp_path):
    claims = [claim("later", where="section 3.4"), claim("follow-up", paper="dai"), claim("earlier", where="section 1")]
    _, data = write_report(tmp_path, RUN, claims)
    written = json.loads(data.read_text(encoding="utf-8"))
    assert [entry["id"] for entry in written["claims"]] == ["earlier", "later", "follow-up"]
    assert written["schema_version"] == 1


def test_the_drawing_has_a_row_for_every_interval_and_says_what_it_shows():
    without = {**FINDING, "low": None, "high": None}
    drawing = interval_plot([FINDING, {**FINDING, "task": "cb", "outcome": "fails"}, without], {"sst2": "SST2"})
    assert drawing.count("<circle") == 2
    assert 'role="img" aria-label="Difference and its interval on 2 tasks' in drawing
    assert interval_plot([without], {}) == ""
