"""A run as Markdown and as a badge: every claim with its words, and no text that does more than say something."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from icl_claims.errors import ReportError
from icl_claims.report.badge import COLOURS, LEFT, badge, badge_of_claim, badge_of_run
from icl_claims.report.document import document_text, make_document
from icl_claims.report.markdown import as_markdown, escaped
from icl_claims.report.verdicts import VERDICTS
from tests.fast.sample_claims import RUN, sample_document, sample_record


def html(text):
    return MarkdownIt("commonmark").enable("table").render(text)


def test_every_claim_has_a_row_with_its_words():
    document = sample_document(4)
    text = as_markdown(document)
    for claim in document["claims"]:
        if not claim["condition"]:
            [row] = [line for line in text.splitlines() if line.startswith(f"| **{escaped(claim['id'])}**")]
            assert claim["verdict"] in row or claim["verdict"] == "not run" or "refuted" in row
    assert html(text).count("<table>") == len({claim["paper"] for claim in document["claims"]})


def test_what_was_not_run_at_all_has_no_column_and_a_known_refutation_is_said_to_be_known():
    records = [
        sample_record(verdict="refuted", known_refutation="It is another model."),
        sample_record(profile="paper", verdict="not run", tasks=[]),
        sample_record(source="printed", profile="", verdict="consistent"),
    ]
    rows = as_markdown(make_document(RUN, records)).splitlines()
    [head] = [row for row in rows if row.startswith("| claim |")]
    assert "paper" not in head
    assert any("refuted, as known" in row and "consistent" in row for row in rows)


@given(st.text())
def test_a_statement_is_text_whatever_it_holds(statement):
    shown = html(as_markdown(make_document(RUN, [sample_record(statement=statement)])))
    assert shown.count("<table>") == shown.count("<tbody>") == 1
    assert not {"<script", "<img", "<a ", "<em>"} & {shown[place : place + 7].lower() for place in range(len(shown))}


@given(st.text(st.characters(exclude_categories=["C"]), max_size=30), st.sampled_from(VERDICTS))
def test_a_badge_is_a_picture_that_reads_its_texts(left, word):
    picture = ElementTree.fromstring(badge(left, word, word))
    texts = [one.text or "" for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [left, word]
    assert picture.get("aria-label") == f"{left}: {word}"


def luminance(colour):
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", sorted({*COLOURS.values(), LEFT}))
def test_white_letters_can_be_read_on_every_colour(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5
    assert set(COLOURS) == set(VERDICTS)


def test_a_badge_of_a_run_counts_its_words():
    document = make_document(
        RUN, [sample_record("one"), sample_record("two"), sample_record("three", verdict="refuted")]
    )
    assert "claims: 2 supported, 1 refuted" in badge_of_run(document)
    assert COLOURS["error"] in badge_of_run(make_document(RUN, [sample_record(verdict="error")]))
    assert "claims: not run" in badge_of_run(make_document(RUN, [sample_record(verdict="not run")]))


def test_a_badge_of_a_claim_says_the_worst_that_evidence_says():
    records = [sample_record(), sample_record(profile="tiny", verdict="vacuous")]
    records += [sample_record(profile="paper", verdict="not run")]
    assert "lc-aou-5of6: vacuous" in badge_of_claim(make_document(RUN, records), "lc-aou-5of6")
    with pytest.raises(ReportError, match="no such claim"):
        badge_of_claim(make_document(RUN, records), "other")


def test_the_command_prints_them(run, tmp_path):
    path = tmp_path / "claims.json"
    path.write_text(document_text(sample_document(3)), encoding="utf-8")
    assert run("export", path, "--to", "markdown")[1].startswith("# Claims")
    assert run("export", path, "--to", "badge")[1].startswith("<svg")
    name = sample_document(3)["claims"][0]["id"]
    assert name in run("export", path, "--to", "badge", "--claim", name)[1]
    code, _, err = run("export", path, "--to", "csv", "--claim", name)
    assert (code, "--claim" in err) == (2, True)
