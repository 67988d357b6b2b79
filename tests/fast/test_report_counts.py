"""Counts of words: claims that ask the same of the same evidence are one question."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icl_claims.report.counts import counts_of
from icl_claims.report.verdicts import VERDICTS
from tests.fast.sample_claims import sample_record

ASKED = ("a above b", "b above a", None)
RECORDS = st.tuples(st.sampled_from(VERDICTS), st.sampled_from(ASKED), st.sampled_from(("trials", "printed")))


def record(verdict, question, source="trials", **facts):
    asks = None if question is None else {"questions": [question, "something beside"], "names": {}, "studies": []}
    return sample_record(verdict=verdict, asks=asks, source=source, **facts)


@given(st.lists(RECORDS))
def test_a_question_is_counted_once_and_a_record_without_one_by_itself(found):
    counts = counts_of([record(*one) for one in found])
    assert {count.word: count.records for count in counts} == {
        word: sum(one[0] == word for one in found) for word in VERDICTS if word in {one[0] for one in found}
    }
    for count in counts:
        of_word = [one for one in found if one[0] == count.word]
        asked = {one for one in of_word if one[1] is not None}
        assert count.questions == len(asked) + sum(one[1] is None for one in of_word)


def test_another_profile_or_another_secondary_question_is_told_apart_as_it_should_be():
    same = [record("supported", "a above b"), record("supported", "a above b")]
    same[1]["asks"]["questions"] = ["a above b"]
    assert [str(count) for count in counts_of(same)] == ["2 supported (1 question)"]
    other = [*same, record("supported", "a above b", profile="tiny")]
    assert [str(count) for count in counts_of(other)] == ["3 supported (2 questions)"]


def test_where_each_claim_has_a_question_of_its_own_nothing_is_said_of_it():
    counts = counts_of([record("refuted", "a above b"), record("refuted", None), record("vacuous", "a above b")])
    assert [str(count) for count in counts] == ["2 refuted", "1 vacuous"]
