"""Deutch et al. 2024, on the six tasks: what similarity scores are worth, and what layer-causal finetuning changes."""

from quantities import (
    AM_UPDATE_FT,
    AM_UPDATE_LC,
    AOU_FT,
    AOU_LC,
    AOU_RANDOM,
    COMPARABLE,
    LC_OVER_FT,
    LOWER_LAYERS,
    UPPER_LAYERS,
    at,
    untrained,
)

from icl_claims.claims import CaseRule, Claim, Comparison, Finding, Quantity, TaskRule, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

BUT_AGNEWS = ("sst2", "sst5", "mr", "subj", "cb")
LAYERS = 24  # of the 1.3B model
FT_AHEAD = {"sim_aou": {1, 3, 23}, "sim_am_update": {9, *range(12, 18), *range(21, 24)}}

NORMALISATION_INFLATES = Claim(
    id="normalisation-inflates",
    paper="deutch",
    where="on the SimAOU metric",
    statement="SimAOU is higher with attention outputs scaled to unit length than with the outputs as they are.",
)
UNTRAINED_SCORES_TOO = Claim(
    id="untrained-scores-too",
    paper="deutch",
    where="on untrained models",
    statement="On several tasks, three or more, a model with random blocks has a higher SimAOU than the trained one, "
    "which is more than as high a one.",
    rule=TaskRule(3),
)
LC_AOU_ALL_TASKS = Claim(
    id="lc-aou-all-tasks",
    paper="deutch",
    where="on layer-causal finetuning",
    statement="On every task, attention outputs move more in in-context learning's direction when finetuning is "
    "layer-causal than when it is standard.",
    rule=TaskRule(6),
)
LC_AM_UPDATE = Claim(
    id="lc-am-update",
    paper="deutch",
    where="on layer-causal finetuning",
    statement="On every task but AGNews, attention scores move more in in-context learning's direction when "
    "finetuning is layer-causal than when it is standard.",
    rule=TaskRule(5, of=5),
)
LC_AOU_LAYERS = Claim(
    id="lc-aou-layers",
    paper="deutch",
    where="on layer-causal finetuning, by layer",
    statement="On average over tasks, SimAOU is higher for layer-causal than for standard finetuning in every layer "
    "but 1, 3 and 23 (of 0 to 23), and SimAM of updates in every layer but 9, 12 to 17 and 21 to 23.",
    rule=CaseRule("the means over tasks differ as said, in every layer"),
)
LC_GRADIENTS_LARGER = Claim(
    id="lc-gradients-larger",
    paper="deutch",
    where="on layer-causal finetuning, gradients",
    statement="Layer-causal gradients are larger than standard ones, most of all in the lower layers.",
)
LC_NORM_MATCHED = Claim(
    id="lc-norm-matched",
    paper="deutch",
    where="on layer-causal finetuning; the control is ours",
    statement="Attention outputs still move more in in-context learning's direction when each layer's change of "
    "weights, made layer-causally, is rescaled to the length of the standard one.",
)


@NORMALISATION_INFLATES.decided_on("trials")
def test_scaling_to_unit_length_raises_the_score(evidence, decide):
    as_they_are = Quantity("sim_aou_unnormalised", "finetuning")
    layer_causal = Question(AOU_LC, above=Quantity("sim_aou_unnormalised", "layer_causal"))
    nulls = (*against_nulls(AOU_FT), *against_nulls(as_they_are))
    decide(evidence.compare(AOU_FT, above=as_they_are), beside=answered(evidence, layer_causal, *nulls))


@UNTRAINED_SCORES_TOO.decided_on("author_runs", "trials")
def test_an_untrained_model_scores_too(evidence, decide):
    less_is_kept = [Question(untrained(AOU_FT, f"untrained_{kept}"), above=AOU_FT) for kept in ("norms", "all")]
    chance = untrained(AOU_RANDOM)
    nulls = Question(untrained(AOU_FT), above=chance), *against_nulls(untrained(AOU_FT), but=chance)
    as_high = Question(untrained(AOU_FT), equal_to=AOU_FT, within=COMPARABLE)
    beside = answered(evidence, as_high, *less_is_kept, *nulls)
    decide(evidence.compare(untrained(AOU_FT), above=AOU_FT), beside=beside)


@LC_AOU_ALL_TASKS.decided_on("author_runs", "trials")
def test_layer_causal_finetuning_is_ahead_on_every_task(evidence, decide):
    decide(evidence.compare(AOU_LC, above=AOU_FT), beside=answered(evidence, *against_nulls(AOU_LC)))


@LC_AM_UPDATE.decided_on("author_runs", "trials")
def test_layer_causal_finetuning_moves_attention_scores_more_as_icl_does(evidence, decide):
    the_exception = Question(AM_UPDATE_LC, below=AM_UPDATE_FT, tasks=("agnews",))
    ahead = evidence.compare(AM_UPDATE_LC, above=AM_UPDATE_FT, tasks=BUT_AGNEWS)
    decide(ahead, beside=answered(evidence, the_exception, *against_nulls(AM_UPDATE_LC)))


@LC_AOU_LAYERS.decided_on("author_runs")
def test_layers_in_which_standard_finetuning_is_ahead(evidence, decide):
    findings = (in_layer(evidence, metric, layer) for metric in FT_AHEAD for layer in range(LAYERS))
    decide(Comparison("layer-causal finetuning is ahead where it is said to be", tuple(findings), None))


@LC_GRADIENTS_LARGER.decided_on("trials")
def test_layer_causal_gradients_are_larger_most_of_all_in_the_lower_layers(evidence, decide):
    larger = evidence.compare(LC_OVER_FT, above=0.0)
    most_in_lower = evidence.compare(at(LC_OVER_FT, LOWER_LAYERS), above=at(LC_OVER_FT, UPPER_LAYERS))
    decide(jointly(larger, most_in_lower), beside=[larger, most_in_lower])


@LC_NORM_MATCHED.decided_on("trials")
def test_the_advantage_survives_with_updates_of_the_same_length(evidence, decide):
    matched = Quantity("sim_aou", "layer_causal_norm_matched")
    as_it_is = Question(AOU_LC, above=AOU_FT)
    attention_scores = Question(Quantity("sim_am_update", matched.method), above=AM_UPDATE_FT)
    chance = Question(matched, above=AOU_RANDOM)
    decide(evidence.compare(matched, above=AOU_FT), beside=answered(evidence, as_it_is, attention_scores, chance))


def in_layer(evidence, metric: str, layer: int) -> Finding:
    """Whether the method that is said to be ahead in a layer is, in the mean over tasks."""
    band = (layer / LAYERS, (layer + 1) / LAYERS)
    layer_causal, standard = (at(Quantity(metric, name), band) for name in ("layer_causal", "finetuning"))
    found = evidence.compare(layer_causal, above=standard).together
    case = f"{metric}, layer {layer}"
    if found is None or found.difference is None:
        return Finding(case, "absent", note="no mean over tasks")
    as_said = (found.difference < 0) == (layer in FT_AHEAD[metric])
    return Finding(case, "holds" if as_said else "fails", found.left, found.right, found.difference)
