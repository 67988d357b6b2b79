"""What a claim is: what it asks, the rule that decides it, and the verdict it gets."""

from icl_claims.claims.claim import (
    PAPERS,
    SOURCES,
    Asked,
    Claim,
    Decide,
    Paper,
    akyurek,
    coverage_of_papers,
    dai,
    deutch,
    han,
    hendel,
    irie,
    kossen,
    min_et_al,
    rethinking,
    revisited,
    shen,
    von_oswald,
    wei,
)
from icl_claims.claims.comparison import EVERY_TASK, Comparison, Finding, Outcome, denied, jointly, nulls_of
from icl_claims.claims.rules import (
    GENERALLY,
    IN_EVERY_CASE,
    ON_AVERAGE,
    ON_MOST_TASKS,
    CaseRule,
    NullVerdict,
    Rule,
    TaskRule,
    Verdict,
    Word,
    at_least,
)
