"""The page shows every claim once, shows what it is told as text, and is the same for the same run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.metrics import rpa, sim_aou
from icl_claims.report.document import make_document
from icl_claims.report.page import forest_plot, render_page
from icl_claims.report.tables import papers_tables
from icl_claims.report.words import MINUS
from icl_claims.report.write import write_report
from tests.fast.sample_claims import RUN, sample_document, sample_finding, sample_record

HEADER = re.compile(r"<!-- run header.*?<!-- end of run header -->", re.DOTALL)
HOSTILE = [
    '<script>alert("x")</script>',
    "\"><img src=x onerror='x'>",
    "\u202eright to left \u0634\u0631\u0642",
    "{{ 7 * 7 }} $\\frac{1}{0}$ &amp;",
    "long" * 500,
    "\ud800 \x00 \x1b[31m",
]


class Seen(HTMLParser):
    """The elements, ids and texts of a page."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.links, self.text = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data):
        self.text.append(data)


def page_of(*claims, **parts):
    return render_page(make_document(RUN, claims, **parts), {})


def test_several_sources_are_one_entry_with_a_badge_each():
    page = page_of(sample_record(), sample_record(source="printed", profile="", verdict="refuted"))
    assert page.count('<details id="lc-aou-5of6">') == 1
    badges = re.findall(r'<span class="badge ([a-z-]+)"><span class="name">(.*?): </span>', page)
    assert badges == [("refuted", "printed"), ("supported", "trials, embedded")]


def test_two_claims_of_the_same_name_have_addresses_of_their_own():
    seen = Seen(page_of(sample_record(), sample_record(paper="revisited")))
    assert {"lc-aou-5of6", "revisited-lc-aou-5of6"} <= set(seen.ids)
    assert len(set(seen.ids)) == len(seen.ids)


def test_a_condition_stands_in_the_entry_of_its_claim():
    exact = {"source": "exact", "profile": "", "tasks": []}
    page = page_of(sample_record(**exact), sample_record(**exact, condition="no bias"))
    assert page.count("<details ") == 1
    assert "No bias" in page
    assert "shown to be needed" in page


def test_negative_controls_of_an_exact_claim_are_listed():
    page = page_of(sample_record("dual-delta-w", source="exact", profile="", tasks=[]))
    assert re.search(r"breaks? it in \d+ ways", page)


def test_links_lead_somewhere_and_none_leads_outside():
    document = sample_document(6)
    seen = Seen(render_page(document, {}))
    assert {link for link in seen.links if link.startswith("#") and link[1:] not in seen.ids} == set()
    assert {link for link in seen.links if not link.startswith("#")} == set()


def hostile_claim(hostile):
    finding = sample_finding(task=hostile, note=hostile)
    return sample_record(
        statement=hostile,
        why=hostile,
        where=hostile,
        tasks=[finding],
        would_change=hostile,
        beside=[{"name": hostile, "why": hostile, "tasks": [finding]}],
        provenance={"model": hostile, "trials": [{"task": hostile, "seed": 1, "model": hostile}]},
    )


def as_written(text):
    """What a file in UTF-8 can hold of it."""
    return text.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("hostile", HOSTILE, ids=["script", "quotes", "rtl", "templates", "long", "broken"])
def test_what_data_say_is_shown_as_text(tmp_path, hostile):
    document = make_document({**RUN, "name": hostile, "commit": hostile}, [hostile_claim(hostile)])
    page, _ = write_report(tmp_path, document)
    seen = Seen(page.read_text(encoding="utf-8"))
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert any(as_written(hostile) in text for text in seen.text)


def test_hostile_names_are_drawn_as_text(tmp_path):
    pictures = {
        "changes": {name: {"shared": {"correct": 2, "incorrect": 1}} for name in HOSTILE},
        "gradient_norms": {name: {name: [[1.0, 2.0], [2.0, 1.0]]} for name in HOSTILE[:2]},
        "by_layer": {name: {"sim_aou": {name: [0.1, 0.2], "finetuning": [0.2, 0.1]}} for name in HOSTILE},
        "clip_sweep": {name: [{"clip": None, "sim_aou": 0.1, "sim_am": None}] for name in HOSTILE},
    }
    document = make_document(RUN, [sample_record()], pictures={"../<b>": pictures})
    page, _ = write_report(tmp_path, document, figures=tmp_path / "figures")
    seen = Seen(page.read_text(encoding="utf-8"))
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert any(text.startswith("<script>alert") for text in seen.text)
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 4


@given(st.text(max_size=60))
def test_any_statement_is_shown_as_it_is(text):
    shown = "".join(Seen(page_of(sample_record(statement=f"({text})"))).text)
    assert f"({text})".replace("\r\n", "\n").replace("\r", "\n") in shown.replace("\r\n", "\n").replace("\r", "\n")


def test_the_same_run_gives_the_same_bytes(tmp_path):
    document = sample_document(5)
    shown = document["pictures"]["embedded"]
    for kind in shown:
        shown[kind] = {"subj": shown[kind]["subj"]}
    for name in "ab":
        write_report(tmp_path / name, document, figures=tmp_path / name)
    for one, other in zip(sorted((tmp_path / "a").iterdir()), sorted((tmp_path / "b").iterdir()), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert len(list((tmp_path / "a").glob("*.pdf"))) == 6


def test_only_the_header_tells_two_equal_runs_apart():
    def page(**facts):
        document = sample_document(3)
        for claim in document["claims"]:
            claim["seconds"] = facts.get("seconds", 1.0)
            for trial in claim["provenance"].get("trials", ()):
                trial["finished"] = facts.get("finished", "")
        document["run"] |= facts
        return render_page(document, {})

    one, other = page(), page(finished="2030-01-01T00:00:00+00:00", seconds=7.0, commit="ffff", name="again")
    assert one != other
    assert HEADER.sub("", one) == HEADER.sub("", other)


def test_a_full_page_stays_under_two_megabytes(tmp_path):
    document = sample_document(33)
    document["pictures"]["paper"] = document["pictures"]["embedded"]
    assert len(document["claims"]) >= 150
    page, _ = write_report(tmp_path, document)
    assert page.stat().st_size < 2_000_000


def test_the_head_counts_verdicts_by_source():
    page = page_of(sample_record(), sample_record("other", verdict="refuted"), sample_record("third"))
    row = re.search(r'<th scope="row">trials, embedded</th><td>(.*?)</td>', page)[1]
    assert re.sub(r"<[^>]+>", "", row) == "2 supported1 refuted"


def test_the_command_of_a_claim_repeats_the_options_of_the_run():
    page = page_of(sample_record(test="claims/test_x.py::test_y[trials]", profile="tiny"))
    assert "--claims-profile tiny --claims-tasks sst2,sst5,mr,subj,agnews,cb" in page


def test_the_command_of_a_claim_brings_what_it_lacked():
    asks = {"questions": [], "names": {}, "studies": ["main", "labels", "clips"]}
    page = page_of(sample_record(asks=asks), sample_record("other", profile="paper"))
    assert "--claims-studies clips" in page, "the embedded profile runs the others by itself"
    assert "--claims-model fairseq:DIR --claims-data DIR" in page


def test_every_task_that_a_control_is_about_has_a_column():
    few, more = ([sample_finding(task=task) for task in tasks] for tasks in (("cb",), ("cb", "agnews")))
    beside = [{"name": name, "tasks": tasks, "why": ""} for name, tasks in (("one", few), ("two", more))]
    page = page_of(sample_record(beside=beside))
    table = page[page.index("The same question asked of nulls") :]
    assert table[: table.index("</thead>")].count("<th ") == 1 + 2 + 1


def test_the_forest_plot_places_every_number_on_one_scale():
    findings = [sample_finding(low=-0.2, difference=0.0, high=0.8, printed=0.3, null_low=-0.1, null_high=0.1)]
    plot = forest_plot(sample_record(tasks=findings, effect={"estimate": 0.3, "low": 0.2, "high": 0.4}))
    assert plot.zero == pytest.approx(2 + 96 * 0.2, abs=0.05)
    assert plot.ends == (f"{MINUS}.20", ".80")
    assert [kind in plot.rows[0] for kind in ("null", "zero", "dot", "tick")] == [True] * 4
    assert "diamond" in plot.pooled
    assert "50" in re.search(r'class="tick" d="M(\S+)', plot.rows[0])[1]


def test_where_nothing_has_a_difference_there_is_no_plot():
    nothing = dict.fromkeys(("difference", "low", "high"))
    assert forest_plot(sample_record(tasks=[sample_finding(**nothing)], effect=None)) is None
    assert forest_plot(sample_record(tasks=[], effect=None)) is None


def test_tables_hold_printed_figures_and_ours_on_one_scale():
    ours = {"sst2": {"accuracy": {"zero_shot": 0.625}, "sim_aou": {"finetuning": -0.02345}}}
    first, second, third, _ = papers_tables({"embedded": {"values": ours}})
    accuracy = dict(zip(first.columns, first.rows[0].cells, strict=True))["SST2"]
    assert [(one.whose, one.text) for one in accuracy] == [("printed", "70.5"), ("embedded", "62.5")], (
        "the authors logged none"
    )
    row = next(row for row in second.rows if row.name == "SimAOU, finetuning")
    cells = dict(zip(second.columns, row.cells, strict=True))
    assert [one.text for one in cells["SST2"]] == [".1091", ".1105", f"{MINUS}.0234"]
    assert [one.whose for one in cells["average"]] == ["printed", "authors"], "an average needs every task"
    [clipped] = [row.cells[0] for row in third.rows if row.name == "SimAM, layer-causal finetuning clipped at 12"]
    assert [one.text for one in clipped] == [".4227", ".4227"]


def test_the_page_defines_every_metric_and_own_ones():
    own = {"title": "my metric", "definition": "What I measure.", "formula": r"\frac{a}{b}", "source": "my note"}
    broken = {"title": "another", "formula": r"\frac{<b>\left("}
    hostile = {"title": "third", "formula": r"\text{<img src=x>} \href{javascript:alert(1)}{x}"}
    asks = {"questions": [], "names": {}, "studies": [], "own": [own, broken, hostile]}
    page = page_of(sample_record(asks=asks), sample_record("other", asks=asks))
    assert all(page.count(f"<dt>{metric.title[:1].upper()}{metric.title[1:]}</dt>") == 1 for metric in (sim_aou, rpa))
    assert page.count("<dt>My metric</dt>") == page.count("<dt>Another</dt>") == 1
    assert "<mfrac>" in page
    assert r"<code>\frac{&lt;b&gt;\left(</code>" in page
    assert "img" not in Seen(page).tags
    assert "javascript" not in page


def test_an_own_paper_has_its_title_and_comes_last():
    page = page_of(sample_record("mine", paper="mine", paper_title="A note of my own"), sample_record())
    assert page.index("Rethinking, section 3.4") < page.index("<small>A note of my own</small>")


def test_what_was_not_run_at_all_is_one_line():
    page = page_of(sample_record(), sample_record("other", profile="paper", verdict="not run"))
    row = re.search(r'<th scope="row">not run here</th><td class="words">(.*?)</td>', page)[1]
    assert row == "trials, paper (1)"
    assert '<th scope="row">trials, paper</th>' not in page
    assert "not run here" not in page_of(sample_record())
