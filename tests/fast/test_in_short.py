"""The answer of a run says what its verdicts carry, and nothing else."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import ON_MOST_TASKS, Paper
from icl_claims.claims.inquiries import INQUIRIES, INQUIRY, inquiry_of
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics import accuracy, gradient_norm, sim_aou
from icl_claims.report.document import make_document
from icl_claims.report.in_short import NAMED, answers, limits
from icl_claims.report.ledger import entries_of
from icl_claims.report.page import render_page
from icl_claims.report.verdicts import VERDICTS
from tests.fast.sample_claims import RUN, sample_record

GOOD, BAD = {"supported", "consistent"}, {"refuted", "inconsistent"}
SOURCES = (("exact", ""), ("printed", ""), ("author_runs", ""), ("trials", "tiny"), ("trials", "embedded"))
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 14),
        st.sampled_from(SOURCES),
        st.sampled_from(VERDICTS),
        st.sampled_from([*INQUIRY]),
        st.booleans(),
    ),
    max_size=40,
    unique_by=lambda one: one[:2],
)


def documented(found):
    about = {number: inquiry for number, _, _, inquiry, _ in found}
    return make_document(
        RUN,
        [
            sample_record(
                f"claim-{number}",
                source=source,
                profile=profile,
                verdict=verdict,
                about=about[number],
                where="abstract" if first else "section 3",
                statement=f"Statement {number}.",
            )
            for number, (source, profile), verdict, _, first in found
        ],
    )


@given(RECORDS)
def test_every_count_and_every_statement_is_carried_by_verdicts(found):
    document = documented(found)
    said = {answer.inquiry.name: answer for answer in answers(entries_of(document["claims"]))}
    run = [claim for claim in document["claims"] if claim["verdict"] != "not run"]
    assert {*said} == {claim["about"] for claim in run}
    for name, answer in said.items():
        of_it = [claim for claim in run if claim["about"] == name]
        counted = Counter((claim["source"], claim["profile"], claim["verdict"]) for claim in of_it)
        assert sum(saying.asked for saying in answer.sayings) == len(of_it)
        told = Counter({told.word: 0 for saying in answer.sayings for told in saying.told})
        for saying in answer.sayings:
            assert saying.asked == sum(one.count for one in saying.told) + saying.undecided
            for one in saying.told:
                told[one.word] += one.count
                assert len(one.entries) == min(one.count, NAMED)
                assert all(any(r["verdict"] == one.word for r in entry.deciding) for entry in one.entries)
        for word, count in told.items():
            assert count == sum(many for (_, _, verdict), many in counted.items() if verdict == word)
        for kind, entry in answer.statements:
            words = {claim["verdict"] for claim in of_it if claim["id"] == entry.first["id"]}
            assert words & (GOOD if kind == "holds" else BAD)
            assert not words & (BAD if kind == "holds" else GOOD)
            assert "vacuous" not in words
            assert {claim["source"] for claim in of_it if claim["id"] == entry.first["id"]} != {"printed"}


def test_the_page_opens_with_it_and_links_to_claims():
    document = documented([(1, ("trials", "tiny"), "supported", "activations", True)])
    page = render_page(document, {})
    short = page[page.index('id="page-in-short"') : page.index("<!-- run header")]
    text = " ".join(re.sub(r"<[^>]+>", "", short).split())
    assert "Do activations agree? It holds wherever it was decided: Statement 1." in text
    assert "Trials, tiny: 1 supported (claim-1), of 1." in text
    assert 'href="#claim-1"' in short


def test_what_was_not_run_answers_nothing():
    document = documented([(1, ("trials", "tiny"), "not run", "activations", True)])
    assert answers(entries_of(document["claims"])) == []
    assert limits(document["claims"]) == []


def test_what_it_cannot_say_names_models_and_data():
    claim = sample_record(profile="tiny", provenance={"model": "tiny", "data": "synthetic tasks"})
    assert limits(make_document(RUN, [claim])["claims"]) == [
        "Trials of tiny ask the model tiny about synthetic tasks.",
        "One model is no sample of all models, and 6 tasks none of all tasks.",
    ]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (accuracy(Finetuning()) > 0.5, "predictions"),
        (sim_aou(Finetuning()) > 0.0, "activations"),
        (sim_aou(LayerCausal()) > sim_aou(Finetuning()), "layers"),
        (gradient_norm(Finetuning()) > 0.0, "layers"),
    ],
)
def test_a_claim_belongs_to_the_question_that_it_asks_about(question, name):
    assert inquiry_of([question], ["trials"], trained=False) == name
    assert inquiry_of([question], ["exact"], trained=False) == "algebra"


def test_a_claim_may_say_itself_what_it_is_about():
    note = Paper("note", "A note")

    @note.claim("x", where="section 1", rule=ON_MOST_TASKS, on="trials", about="rivals")
    def test_x():
        """It is a rival."""
        return accuracy(Finetuning()) > 0.5

    assert test_x.claim.about == "rivals"
    assert [one.question[-1] for one in INQUIRIES] == ["?"] * 6
