"""Section 3.3, Prediction Recall: of what finetuning corrects, how much in-context learning gets right."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given

from icl_claims.claims import IN_EVERY_CASE, Comparison, Decide, Finding, Outcome, revisited
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.author_runs import author_runs
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.metrics import predictions as metrics

from ..predicted_cases import Predictions, predictions


@revisited.claim("rec2ftp-def", where="section 3.3, Prediction Recall", rule=IN_EVERY_CASE, on="exact")
def test_rec2ftp_is_the_recall_of_the_corrections_of_finetuning(evidence: ExactEvidence, decide: Decide) -> None:
    """Rec2FTP is the share of the queries corrected by finetuning that in-context learning answers correctly too; where
    finetuning corrects none it is undefined.
    """

    @given(predictions())
    def mean_of_column_is_ratio_of_set_sizes(case: Predictions) -> None:
        right = {
            name: correct_queries(getattr(case, name), case.gold) for name in ("in_context", "finetuned", "zero_shot")
        }
        corrected = right["finetuned"] - right["zero_shot"]
        column = metrics.rec2ftp.values(case.in_context, case.finetuned, case.zero_shot, case.gold)
        evidence.check(counted(column) == corrected, "the queries that count are those that finetuning corrects")
        if not corrected:
            return
        recalled = (right["in_context"] & right["finetuned"]) - right["zero_shot"]
        evidence.equal(np.nanmean(column), len(recalled) / len(corrected), "|(C_ICL & C_FT) - C_ZSL| / |C_FT - C_ZSL|")
        evidence.check(0 <= np.nanmean(column) <= 1, "Rec2FTP lies in [0, 1]")

    @given(predictions())
    def a_tally_query_by_query_gives_the_same(case: Predictions) -> None:
        hits = chances = 0
        for icl, ft, zero, gold in zip(case.in_context, case.finetuned, case.zero_shot, case.gold, strict=True):
            if zero != gold and ft == gold:
                chances += 1
                hits += int(icl == gold)
        column = metrics.rec2ftp.values(case.in_context, case.finetuned, case.zero_shot, case.gold)
        evidence.equal([np.nansum(column), np.isfinite(column).sum()], [hits, chances], "hits and chances")

    @given(predictions())
    def a_method_recalls_itself(case: Predictions) -> None:
        column = metrics.rec2ftp.values(case.finetuned, case.finetuned, case.zero_shot, case.gold)
        evidence.check(bool(np.all(column[np.isfinite(column)] == 1)), "Rec2FTP of finetuning with itself is 1")

    decide(
        evidence.every(
            mean_of_column_is_ratio_of_set_sizes, a_tally_query_by_query_gives_the_same, a_method_recalls_itself
        )
    )


@test_rec2ftp_is_the_recall_of_the_corrections_of_finetuning.claim.decided_on("author_runs")
def test_what_their_code_logs_is_the_share_of_what_it_counts(evidence: TaskEvidence, decide: Decide) -> None:
    """Every Rec2FTP that the authors' code logged is the quotient of the counts beside it."""
    findings = [
        compared_with_counts(f"{log}, permutation {permutation}", lines)
        for (log, permutation), lines in author_runs().groupby(["log", "permutation"], sort=False)
        if {"rec2ftp", "rec2ftp_logged"} <= set(lines["metric"])
    ]
    question = "the logged Rec2FTP is the share of the logged counts, to its last digit"
    decide(Comparison(question, tuple(findings), None))


def compared_with_counts(log: str, lines: pd.DataFrame) -> Finding:
    """Whether a log's Rec2FTP is the quotient of the counts that stand beside it, rounded or cut."""
    by_metric = lines.set_index("metric")
    values, unit = by_metric["value"], float(by_metric["unit"]["rec2ftp_logged"])
    logged, share = float(values["rec2ftp_logged"]), float(values["rec2ftp"])
    counts = f"{by_metric['counted']['rec2ftp']} of {by_metric['of']['rec2ftp']}"
    outcome: Outcome = "holds" if abs(share - logged) <= unit else "fails"
    return Finding(log, outcome, logged, share, logged - share, note=counts)


def correct_queries(predicted: np.ndarray, gold: np.ndarray) -> set[int]:
    """C_X: the set of queries that a setting answers correctly."""
    return {query for query in range(len(gold)) if predicted[query] == gold[query]}


def counted(column: np.ndarray) -> set[int]:
    """The queries with a value."""
    return {query for query, value in enumerate(column) if not np.isnan(value)}
