"""Section 3.3: what RPA measures, and why Rec2FTP is not enough."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, rethinking
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.metrics import predictions as metrics

from ..predicted_cases import Predictions, predictions


@rethinking.claim("rpa-def", where="section 3.3, definition of RPA", rule=IN_EVERY_CASE, on="exact")
def test_rpa_is_the_jaccard_index_of_the_changed_queries(evidence: ExactEvidence, decide: Decide) -> None:
    """RPA is the share, among the queries whose zero-shot prediction either method changes, of those that both change:
    1 when they change the same queries, 0 when they share none.
    """

    @given(predictions())
    def in_their_words_a_change_is_shared_when_both_change(case: Predictions) -> None:
        by_context, by_finetuning = changed(case.in_context, case.zero_shot), changed(case.finetuned, case.zero_shot)
        shared = by_context & by_finetuning
        column = rpa_of(case, agreement="changed")
        evidence.check(counted(column) == by_context | by_finetuning, "the queries that count are those that change")
        if by_context | by_finetuning:
            denominator = len(by_context) + len(by_finetuning) - len(shared)
            evidence.equal(np.nanmean(column), len(shared) / denominator, "the printed formula")
            evidence.check((np.nanmean(column) == 1) == (by_context == by_finetuning), "1 only for equal sets")
            evidence.check((np.nanmean(column) == 0) == (not shared), "0 only for disjoint sets")

    @given(predictions())
    def in_their_code_a_change_is_a_query_with_its_new_label(case: Predictions) -> None:
        for only in ("all", "correct", "incorrect"):
            by_context = labelled_changes(case.in_context, case, only)
            by_finetuning = labelled_changes(case.finetuned, case, only)
            same, column = len(by_context & by_finetuning), rpa_of(case, only=only)
            queries = {query for query, _ in by_context | by_finetuning}
            evidence.check(counted(column) == queries, f"queries that count, {only} changes")
            if queries:
                denominator = len(by_context) + len(by_finetuning) - same
                evidence.equal(np.nanmean(column), same / denominator, f"the formula of the code, {only} changes")

    @given(predictions())
    def roles_can_be_exchanged(case: Predictions) -> None:
        for agreement in ("changed", "same_label"):
            column = rpa_of(case, agreement=agreement)
            mirrored = metrics.rpa.values(
                case.finetuned, case.in_context, case.zero_shot, case.gold, agreement=agreement
            )
            evidence.check(np.array_equal(column, mirrored, equal_nan=True), "RPA is symmetric")

    @given(predictions(most_labels=2))
    def with_two_labels_both_readings_agree(case: Predictions) -> None:
        words, code = rpa_of(case, agreement="changed"), rpa_of(case, agreement="same_label")
        evidence.check(np.array_equal(words, code, equal_nan=True), "with two labels a changed label is the other one")

    @given(predictions())
    def on_correct_changes_both_readings_agree(case: Predictions) -> None:
        words, code = (rpa_of(case, only="correct", agreement=a) for a in ("changed", "same_label"))
        evidence.check(np.array_equal(words, code, equal_nan=True), "there is only one correct label")

    decide(
        evidence.every(
            in_their_words_a_change_is_shared_when_both_change,
            in_their_code_a_change_is_a_query_with_its_new_label,
            roles_can_be_exchanged,
            with_two_labels_both_readings_agree,
            on_correct_changes_both_readings_agree,
        )
    )


@test_rpa_is_the_jaccard_index_of_the_changed_queries.claim.needs("two labels")
def test_with_more_labels_words_and_code_define_two_metrics(evidence: ExactEvidence, decide: Decide) -> None:
    """With three labels or more, the printed formula and the code count different changes as shared."""

    @given(predictions(least_labels=3))
    def changes_to_different_labels_count_for_the_words_only(case: Predictions) -> None:
        wrong = (case.zero_shot + 1) % case.labels
        in_context, finetuned = np.r_[case.in_context, wrong[0]], np.r_[case.finetuned, (wrong[0] + 1) % case.labels]
        zero_shot, gold = np.r_[case.zero_shot, case.zero_shot[0]], np.r_[case.gold, case.gold[0]]
        words, code = (
            np.nanmean(metrics.rpa.values(in_context, finetuned, zero_shot, gold, agreement=agreement))
            for agreement in ("changed", "same_label")
        )
        evidence.check(words > code, "two changes to different labels: shared in the words, not in the code")

    decide(evidence.every(changes_to_different_labels_count_for_the_words_only))


@rethinking.claim("rec-insufficient-in-principle", where="section 3.3, reasons 1 and 2", rule=IN_EVERY_CASE, on="exact")
def test_cases_with_the_same_rec2ftp_have_different_rpa(evidence: ExactEvidence, decide: Decide) -> None:
    """Rec2FTP does not determine how far predictions align: it is blind to changes that only one method makes, and to
    changes to an incorrect label.
    """

    @given(predictions(), st.integers(1, 10))
    def changes_of_one_method_alone_lower_rpa_unseen(case: Predictions, more: int) -> None:
        assume(alignment(case) > 0)
        longer = with_queries(case, more, in_context=1, finetuned=0, gold=1)
        evidence.check(same_recall(case, longer), "Rec2FTP does not see corrections by in-context learning alone")
        evidence.check(alignment(longer) < alignment(case), "RPA sees them")

    @given(predictions(), st.integers(1, 10))
    def shared_errors_raise_rpa_unseen(case: Predictions, more: int) -> None:
        assume(alignment(case) < 1)
        longer = with_queries(case, more, in_context=1, finetuned=1, gold=0)
        evidence.check(same_recall(case, longer), "Rec2FTP does not see changes to an incorrect label")
        evidence.check(alignment(longer) > alignment(case), "RPA sees them")

    @given(st.integers(1, 20))
    def perfect_recall_with_hardly_any_alignment(more: int) -> None:
        one = with_queries(None, 1, in_context=1, finetuned=1, gold=1)
        many = with_queries(one, more, in_context=1, finetuned=0, gold=1)
        evidence.equal([recall(one), recall(many)], [1, 1], "all corrections of finetuning are recalled")
        evidence.equal(alignment(many), 1 / (1 + more), "yet as little as wished is shared")

    decide(
        evidence.every(
            changes_of_one_method_alone_lower_rpa_unseen,
            shared_errors_raise_rpa_unseen,
            perfect_recall_with_hardly_any_alignment,
        )
    )


def changed(predicted: np.ndarray, zero_shot: np.ndarray) -> set[int]:
    """D_X: the set of queries whose zero-shot prediction a method changes."""
    return {query for query in range(len(zero_shot)) if predicted[query] != zero_shot[query]}


def labelled_changes(predicted: np.ndarray, case: Predictions, only: str) -> set[tuple[int, int]]:
    """The changes as pairs of a query and its new label; all, or those to a correct or an incorrect label."""
    pairs = {(query, int(predicted[query])) for query in changed(predicted, case.zero_shot)}
    right = {(query, label) for query, label in pairs if label == case.gold[query]}
    return {"all": pairs, "correct": right, "incorrect": pairs - right}[only]


def counted(column: np.ndarray) -> set[int]:
    """The queries with a value."""
    return {query for query, values in enumerate(column) if not np.isnan(values).all()}


def rpa_of(case: Predictions, **options: Any) -> np.ndarray:
    """RPA of in-context learning and finetuning, change by change."""
    column: np.ndarray = metrics.rpa.values(case.in_context, case.finetuned, case.zero_shot, case.gold, **options)
    return column


def alignment(case: Predictions) -> float:
    """RPA; NaN where neither method changes anything."""
    return mean(rpa_of(case))


def recall(case: Predictions) -> float:
    """Rec2FTP; NaN where finetuning corrects nothing."""
    return mean(metrics.rec2ftp.values(case.in_context, case.finetuned, case.zero_shot, case.gold))


def mean(column: np.ndarray) -> float:
    """Over the values that count; NaN where none does."""
    return float(np.nanmean(column)) if np.isfinite(column).any() else np.nan


def same_recall(one: Predictions, other: Predictions) -> bool:
    """Whether Rec2FTP is the same, or undefined in both."""
    return np.array_equal(recall(one), recall(other), equal_nan=True)


def with_queries(case: Predictions | None, more: int, *, in_context: int, finetuned: int, gold: int) -> Predictions:
    """The case with more queries, all predicted 0 by zero-shot and otherwise as given."""
    column = {"in_context": in_context, "finetuned": finetuned, "zero_shot": 0, "gold": gold}
    added = {name: np.full(more, label) for name, label in column.items()}
    if case is not None:
        added = {name: np.r_[getattr(case, name), label] for name, label in added.items()}
    return Predictions(**added, labels=2 if case is None else case.labels)
