"""What a claim is: what it compares, the rule that decides it, and the verdict it gets."""

from icl_claims.claims.claim import PAPERS, SOURCES, Claim, Source
from icl_claims.claims.comparison import (
    EVERY_TASK,
    WHOLE_DEPTH,
    Comparison,
    Finding,
    Outcome,
    Quantity,
    absent,
    jointly,
)
from icl_claims.claims.rules import GENERALLY, IN_EVERY_CASE, ON_MOST_TASKS, CaseRule, Rule, TaskRule
from icl_claims.claims.verdict import Verdict, Word

__all__ = [
    "EVERY_TASK",
    "GENERALLY",
    "IN_EVERY_CASE",
    "ON_MOST_TASKS",
    "PAPERS",
    "SOURCES",
    "WHOLE_DEPTH",
    "CaseRule",
    "Claim",
    "Comparison",
    "Finding",
    "Outcome",
    "Quantity",
    "Rule",
    "Source",
    "TaskRule",
    "Verdict",
    "Word",
    "absent",
    "jointly",
]
