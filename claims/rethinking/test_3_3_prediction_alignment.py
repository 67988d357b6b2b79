"""Rethinking, section 3.3, table 1 and figure 1: how far the predictions of the two methods align."""

from icl_claims.claims import ON_MOST_TASKS, Asked, at_least, rethinking
from icl_claims.metrics import accuracy, changed, rec2ftp, rpa, rpa_correct, rpa_incorrect

from ..quantities import FT, ICL

HIGH_RECALL, MAJORITY = 0.8, 0.5


@rethinking.claim("icl-beats-ft-acc", where="section 3.3, table 1", on="printed trials")
def test_icl_is_more_accurate_than_finetuning() -> Asked:
    """In-context learning is more accurate than finetuning."""
    return accuracy(ICL) > accuracy(FT)


@rethinking.claim("icl-covers-ft", where="section 3.3", on="author_runs trials")
def test_icl_covers_almost_all_corrections_of_finetuning() -> Asked:
    """In-context learning answers right at least 80 % of the queries that finetuning corrects (Rec2FTP)."""
    return rec2ftp(FT) > HIGH_RECALL


@rethinking.claim(
    "icl-more-changes",
    where="section 3.3, figure 1",
    rule=at_least(5, overall=True),
    on="author_runs trials",
)
def test_icl_changes_more_predictions() -> Asked:
    """Overall, in-context learning changes more zero-shot predictions than finetuning does."""
    return changed(ICL) > changed(FT)


@rethinking.claim("unique-majority", where="section 3.3, figure 1", rule=ON_MOST_TASKS, on="printed author_runs trials")
def test_changes_unique_to_a_method_are_the_majority() -> Asked:
    """On most tasks, the changes that only one of the two methods makes are the majority of all changes."""
    return rpa(FT) < MAJORITY


@rethinking.claim("rpa-correct-higher", where="section 3.3, table 1", on="printed author_runs trials")
def test_changes_to_the_correct_label_are_shared_more() -> Asked:
    """The two methods share more of their changes to the correct label than of those to an incorrect one."""
    return rpa_correct(FT) > rpa_incorrect(FT)


@rethinking.claim("rec-insufficient", where="section 3.3", rule=at_least(1), on="author_runs trials")
def test_high_recall_goes_with_few_shared_changes() -> Asked:
    """Rec2FTP does not tell how far predictions align: on some task at least 80 % of what finetuning corrects is
    recalled, and yet fewer than half of the changes are shared.
    """
    recalled, few_shared = rec2ftp(FT) > HIGH_RECALL, rpa(FT) < MAJORITY
    return recalled & few_shared, recalled, few_shared
