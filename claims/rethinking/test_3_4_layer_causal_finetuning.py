"""Rethinking, section 3.4 and table 2: layer-causal finetuning against standard finetuning."""

from quantities import (
    ACCURACY_BEFORE,
    ACCURACY_FT,
    ACCURACY_LC,
    AM_FT,
    AM_LC,
    AM_UPDATE_FT,
    AM_UPDATE_LC,
    AOU_FT,
    AOU_LC,
    COMPARABLE,
    denied,
)

from icl_claims.claims import Claim, Quantity, TaskRule
from icl_claims.evidence.questions import Question, against_nulls, answered

AOU_SEQUENTIAL = Quantity("sim_aou", "layer_causal_sequential", study="updates")
AOU_CONCURRENT = Quantity("sim_aou", "layer_causal", study="updates")

LC_AOU_5OF6 = Claim(
    id="lc-aou-5of6",
    paper="rethinking",
    where="section 3.4, table 2",
    statement="On 5 of 6 tasks, attention outputs move more in in-context learning's direction when finetuning is "
    "layer-causal than when it is standard.",
    rule=TaskRule(at_least=5),
)

LC_AM_LOWER = Claim(
    id="lc-am-lower",
    paper="rethinking",
    where="section 3.4, table 2",
    statement="Attention scores are further from in-context learning's when finetuning is layer-causal than when it is "
    "standard.",
)

LC_LOWER_PERFORMANCE = Claim(
    id="lc-lower-performance",
    paper="rethinking",
    where="section 3.4",
    statement="Layer-causal finetuning answers fewer queries right than standard finetuning.",
)


LC_SEQUENTIAL = Claim(
    id="lc-sequential",
    paper="rethinking",
    where="section 3.4 and figure 2",
    statement="Updating one layer after another is not what the authors' code does, which updates all at once: on some "
    "task the two give a SimAOU that differs by a tenth or more.",
    rule=TaskRule(1),
)


@LC_AOU_5OF6.decided_on("printed", "author_runs", "trials")
def test_layer_causal_finetuning_moves_attention_outputs_more_as_icl_does(evidence, decide):
    one_layer_after_another = Question(AOU_SEQUENTIAL, above=AOU_FT)
    beside = answered(evidence, one_layer_after_another, *against_nulls(AOU_LC))
    decide(evidence.compare(AOU_LC, above=AOU_FT), beside=beside)


@LC_AM_LOWER.decided_on("printed", "author_runs", "trials")
def test_layer_causal_finetuning_leaves_attention_scores_further_from_icl(evidence, decide):
    hardly = Question(AM_LC, equal_to=AM_FT, within=COMPARABLE)  # "significantly" would be more than that
    by_updates = Question(AM_UPDATE_LC, below=AM_UPDATE_FT)
    beside = answered(evidence, hardly, by_updates, *against_nulls(AM_LC), *against_nulls(AM_UPDATE_LC))
    decide(evidence.compare(AM_LC, below=AM_FT), beside=beside)


@LC_LOWER_PERFORMANCE.decided_on("trials")
def test_layer_causal_finetuning_is_less_accurate(evidence, decide):
    than_before = Question(ACCURACY_LC, below=ACCURACY_BEFORE)
    collapse = Question(
        Quantity("most_frequent_label", "layer_causal"), above=Quantity("most_frequent_label", "finetuning")
    )
    decide(evidence.compare(ACCURACY_LC, below=ACCURACY_FT), beside=answered(evidence, than_before, collapse))


@LC_SEQUENTIAL.decided_on("trials")
def test_one_layer_after_another_gives_other_similarities(evidence, decide):
    further = Question(AOU_SEQUENTIAL, above=AOU_CONCURRENT)
    alike = evidence.equivalent(AOU_SEQUENTIAL, AOU_CONCURRENT, within=COMPARABLE)
    decide(denied(alike), beside=answered(evidence, further))
