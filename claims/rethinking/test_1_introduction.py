"""Rethinking, section 1: what the paper sets out to show about predictions."""

from quantities import RPA

from icl_claims.claims import ON_MOST_TASKS, Claim

FT_ICL_DIFFER = Claim(
    id="ft-icl-differ",
    paper="rethinking",
    where="section 1",
    statement="On most tasks, in-context learning and finetuning share fewer than half of their prediction changes.",
    rule=ON_MOST_TASKS,
)


@FT_ICL_DIFFER.decided_on("printed", "author_runs", "trials")
def test_icl_and_finetuning_predict_differently(evidence, decide):
    decide(evidence.compare(RPA, below=0.5))
