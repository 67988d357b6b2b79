"""The page knows every word of a verdict, and shows in an entry what its records carry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import icl_claims.report
from icl_claims.claims import Comparison, Finding, NullVerdict, Verdict
from icl_claims.claims.beside import Replicated
from icl_claims.pytest_plugin.records import UNDECIDED, verdict_record
from icl_claims.report.document import check_document, make_document
from icl_claims.report.page import render_page
from icl_claims.report.verdicts import OF_WORD, REFUTING, VERDICTS, WORST_FIRST
from icl_claims.report.words import DASH, MINUS, p_of_task
from tests.fast.sample_claims import RUN, sample_finding, sample_record

STYLE = (Path(icl_claims.report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
READABLE = 4.5  # contrast that WCAG 2 asks of small text, level AA


def page_of(*claims):
    return render_page(check_document(make_document(RUN, claims), "sample"), {})


def plain(page):
    """The text of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def brightness(colour):
    """Relative luminance by WCAG 2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    darker, lighter = sorted(map(brightness, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_contrast_of_black_and_white_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("word", VERDICTS)
def test_the_badge_of_every_word_can_be_read(word, scheme):
    name = word.replace(" ", "-")
    assert f".{name} {{ color: var(--{name}); background: var(--{name}-bg); }} .{name}::before {{ content: " in STYLE
    ink, ground = (re.findall(rf"--{colour}: (#[0-9a-f]{{6}});", STYLE)[scheme] for colour in (name, f"{name}-bg"))
    assert contrast(ink, ground) >= READABLE


def test_no_two_words_have_one_sign():
    signs = [re.search(rf"\.{word.replace(' ', '-')}::before {{ content: \"(.+?)\"", STYLE)[1] for word in VERDICTS]
    assert len({*signs}) == len(VERDICTS)


@pytest.mark.parametrize("word", VERDICTS)
def test_every_word_is_counted_filtered_and_explained(word):
    page, name = page_of(sample_record(verdict=word)), word.replace(" ", "-")
    assert f'<span class="{name}" style="flex: 1 1 auto">1 <span class="word">{word}</span>' in page
    assert f'<option value="{name}">{word}</option>' in page
    assert f"<dt>{word.capitalize()}</dt><dd><p>{OF_WORD[word].meaning}</p></dd>" in page
    assert name in re.search('data-worst-first="(.+?)"', page)[1].split()
    assert f'data-verdicts="trials:{name}"' in page


def test_worse_words_come_first_in_the_order_by_verdict():
    found = re.search('data-worst-first="(.+?)"', page_of(sample_record()))[1].split()
    assert found == [word.replace(" ", "-") for word in WORST_FIRST]
    assert max(map(found.index, REFUTING)) < found.index("vacuous") < found.index("consistent")


@pytest.mark.parametrize(("word", "known"), [("refuted", True), ("inconsistent", True), ("inconclusive", False)])
def test_only_a_refutation_is_marked_as_known(word, known):
    page = page_of(sample_record(verdict=word, known_refutation="explained"))
    assert (f"{word}, as known" in page) == (f"{word}, known" in page) == known
    assert "explained" in page


def test_the_head_counts_identical_questions_once():
    asks = {"questions": ["a above b"], "names": {}, "studies": []}
    page = page_of(*(sample_record(name, asks=asks) for name in "abc"), sample_record("other"))
    row = re.search(r'<th scope="row">trials, embedded</th><td>(.*?)</td>', page)[1]
    assert re.sub(r"<[^>]+>", "", row) == "4 supported (2 questions)"


NULLS = (
    NullVerdict("a Gaussian <update>", "supported", "undecided", "Holds on 5."),
    NullVerdict("a random update", "refuted", "yes"),
)
READINGS = [
    {"name": f"reading {n}", "verdict": "supported" if n < 5 else "inconclusive", "default": n == 0} for n in range(9)
]


def decided(**facts):
    """A record made of a verdict, as the plugin makes it."""
    finding = Finding("sst2", "holds", 0.5, 0.2, 0.3, 0.2, 0.4, 40)
    comparison = Comparison("whether it is so", (finding, Finding("all tasks", "holds", 0.5, 0.2, 0.3, 0.2, 0.4, 40)))
    record = verdict_record(Verdict("supported", "Because.", comparison, **facts), {})
    return sample_record() | record | {"known_refutation": ""}


def test_a_verdict_says_nothing_that_it_does_not_know():
    record = decided()
    assert UNDECIDED.keys() <= record.keys()
    names = ("p", "decided_by", "nulls", "replication", "specifications")
    assert [record[name] for name in names] == [None, "", [], None, None]
    assert record["effect"]["kind"] == ""
    text = plain(page_of(record))
    for unsaid in ("Would noise pass?", "fresh draws; ", "say the same", "Decided by", "in sight", "p = "):
        assert unsaid not in text


def test_everything_that_a_verdict_carries_is_shown():
    found = Replicated("digest", 16, (*7 * ("supported",), "inconclusive")).record
    record = decided(p=(0.0031, None), decided_by="the second part", nulls=NULLS)
    record |= {"replication": found, "specifications": READINGS}
    assert record["p"] == {"supported": 0.0031, "refuted": None}
    assert record["nulls"][1] == {"name": "a random update", "verdict": "refuted", "exceeded": "yes", "why": ""}
    text = plain(page_of(record))
    assert "supported supported in 7 of 8 groups of 16 fresh draws; inconclusive in 1" in text
    assert "a Gaussian &lt;update&gt; supported undecided Holds on 5. a random update refuted yes" in text
    assert "5 of 9 specifications say the same" in text
    assert "reading 0 (the default) supported reading 1 supported" in text
    assert "Decided by the second part Error probability p = .0031 (supported), at any stopping" in text


@pytest.mark.parametrize(("source", "what"), [("trials", "draws"), ("author_runs", "runs")])
def test_what_would_tell_is_more_of_the_unit_of_inference(source, what):
    finding = sample_finding(outcome="unclear", needed=66)
    text = plain(page_of(sample_record(source=source, tasks=[finding])))
    assert f"about 66 {what} would tell" in text


def test_looks_are_drawn_with_the_interval_of_each():
    effect = {"estimate": 0.1, "low": -0.1, "high": 0.3, "kind": "confidence sequence over draws"}
    looks = [{"draws": draws, "verdict": "inconclusive", "effect": effect} for draws in (8, 12)]
    waits = {"draws": 40, "seconds": 120.0, "why": ""}
    page = page_of(decided() | {"looks": looks, "outlook": waits})
    assert f"8 .100 [{MINUS}.100, .300] inconclusive 12 .100" in plain(page)
    assert "What it waits for About 40 draws of each task would probably decide it: 28 more" in plain(page)
    table = page[page.index("look by look") : page.index("</table>", page.index("look by look"))]
    assert table.count("<svg") == 2
    assert "look by look" not in page_of(decided() | {"looks": looks[:1]})


def test_a_specification_curve_is_drawn_with_the_default_marked():
    effect = {"estimate": 0.1, "low": -0.1, "high": 0.3, "kind": "confidence sequence over draws"}
    found = [{**one, "effect": effect if n else None} for n, one in enumerate(READINGS)]
    page = page_of(decided() | {"specifications": found})
    table = page[page.index("Specifications, ") :]
    table = table[: table.index("</table>")]
    assert table.count('<svg class="forest holds"') == 4
    assert table.count('<svg class="forest unclear"') == 4
    assert table.count("(the default)") == 1
    assert "with the difference over all tasks" in plain(table)


def test_a_rule_has_its_digest_its_day_and_its_mark():
    rule = {"rule_digest": "0123456789abcdef", "rule_since": "2026-03-04", "rule_in_sight": "The table came first."}
    text = plain(page_of(sample_record(**rule), sample_record(source="printed", profile="", **rule)))
    assert "holds on at least 5 of 6 tasks , since 4 March 2026, digest 0123456789ab ." in text
    assert text.count("Written with its numbers in sight: The table came first.") == 1


def test_p_values_and_draws_of_tasks_have_columns_where_there_are_any():
    tasks = [sample_finding(p_holds=0.0031, p_fails=1.0, replicates=16), sample_finding(task="mr")]
    page = plain(page_of(sample_record(tasks=tasks)))
    assert "p : ✓ holds, ✗ fails draws queries" in page
    assert f".0031 ✓ 16 40 holds MR .500 .250 .250 [.100, .400] {DASH} {DASH} 40" in page
    assert "✓ holds, ✗ fails" not in plain(page_of(sample_record()))


@pytest.mark.parametrize(
    ("holds", "fails", "said"), [(0.2, 0.9, ".20 ✓"), (None, 1e-9, "< .0001 ✗"), (None, None, DASH)]
)
def test_the_smaller_p_value_of_a_task_is_told_with_its_side(holds, fails, said):
    assert p_of_task({"p_holds": holds, "p_fails": fails}) == said


def test_the_kind_of_a_pooled_interval_stands_beside_it():
    effect = {"estimate": 0.3, "low": 0.2, "high": 0.4, "kind": "Student's over draws"}
    assert "pooled .300 [.200, .400] Student&#39;s over draws" in plain(page_of(sample_record(effect=effect)))
