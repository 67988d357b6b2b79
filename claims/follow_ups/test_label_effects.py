"""Min et al. 2022, Wei et al. 2023 and Kossen et al. 2024, on the six tasks: what false labels of demonstrations do.

A learner that descends the loss of its demonstrations cannot pass over their labels, so each claim says beside
in-context learning what finetuning on the same false labels does.
"""

from icl_claims.claims import ON_MOST_TASKS, Asked, at_least, kossen, min_et_al, wei
from icl_claims.methods import MixedLabels, SwitchedLabels
from icl_claims.metrics import accuracy, accuracy_gain, follows_exchanged, true_label_log_probability

from ..quantities import COMPARABLE, FT, ICL, ZSL

TWO_LABELS = ("sst2", "mr", "subj")
GENERALLY_OF_THREE = at_least(2, of=3)  # as of six, one exception is allowed
CHANCE_OF_TWO = 0.5
RANDOM_ICL, RANDOM_FT = SwitchedLabels(ICL, "random"), SwitchedLabels(FT, "random")
EXCHANGED_ICL, EXCHANGED_FT = SwitchedLabels(ICL, "cyclic"), SwitchedLabels(FT, "cyclic")
TRUE_FIRST_ICL, TRUE_FIRST_FT = MixedLabels(ICL, "true_first"), MixedLabels(FT, "true_first")
EXCHANGED_FIRST_ICL, EXCHANGED_FIRST_FT = MixedLabels(ICL, "exchanged_first"), MixedLabels(FT, "exchanged_first")
IN_TURN_ICL = MixedLabels(ICL, "alternating")


@min_et_al.claim("labels-barely-matter", where="abstract", rule=ON_MOST_TASKS, on="trials", about="rivals")
def test_random_labels_cost_hardly_any_accuracy() -> Asked:
    """With labels drawn at random in its demonstrations, in-context learning is as accurate as with the true ones, give
    or take a tenth, on most tasks.
    """
    return (
        accuracy(RANDOM_ICL).near(accuracy(ICL), within=COMPARABLE),
        accuracy(RANDOM_ICL) < accuracy(ICL),
        accuracy(RANDOM_ICL) > accuracy(ZSL),
        accuracy(RANDOM_FT).near(accuracy(FT), within=COMPARABLE),
    )


@min_et_al.claim(
    "random-labels-cost-finetuning-more",
    where="abstract; the comparison is ours",
    rule=ON_MOST_TASKS,
    on="trials",
    about="rivals",
)
def test_random_labels_cost_finetuning_more() -> Asked:
    """Labels drawn at random cost finetuning more accuracy than in-context learning, on most tasks."""
    return (
        accuracy_gain(RANDOM_FT, FT) < accuracy_gain(RANDOM_ICL, ICL),
        accuracy_gain(RANDOM_FT, FT) < 0.0,
        accuracy_gain(RANDOM_ICL, ICL) < 0.0,
    )


@wei.claim("flipped-labels", where="abstract, small models", rule=GENERALLY_OF_THREE, on="trials", about="rivals")
def test_exchanged_labels_do_not_turn_answers_round() -> Asked:
    """Exchanged labels do not turn a small model's answers round: on tasks with two labels, in-context learning from
    them still answers more than half of the queries right.
    """
    return (
        (accuracy(EXCHANGED_ICL) > CHANCE_OF_TWO).on(*TWO_LABELS),
        (accuracy(EXCHANGED_ICL) < accuracy(ICL)).on(*TWO_LABELS),
        (accuracy(EXCHANGED_FT) > CHANCE_OF_TWO).on(*TWO_LABELS),
    )


@kossen.claim(
    "probabilities-do-move", where="abstract; as reported of their random labels", on="trials", about="rivals"
)
def test_random_labels_lower_the_probability_of_the_true_one() -> Asked:
    """Labels drawn at random lower the probability that in-context learning gives to the true label."""
    return (
        true_label_log_probability(RANDOM_ICL) < true_label_log_probability(ICL),
        true_label_log_probability(RANDOM_FT) < true_label_log_probability(FT),
        true_label_log_probability(EXCHANGED_ICL) < true_label_log_probability(RANDOM_ICL),
    )


@kossen.claim("recency", where="section 8, as reported", rule=ON_MOST_TASKS, on="trials", about="rivals")
def test_the_labels_next_to_the_query_are_followed() -> Asked:
    """In-context learning follows the labels that are nearer to the query: on most tasks, where half of the labels are
    exchanged, it answers by the exchanged ones more often if they are shown last than if they are shown first.
    """
    shown_last, shown_first = follows_exchanged(TRUE_FIRST_ICL), follows_exchanged(EXCHANGED_FIRST_ICL)
    learned_last, learned_first = follows_exchanged(TRUE_FIRST_FT), follows_exchanged(EXCHANGED_FIRST_FT)
    return (
        shown_last > shown_first,
        learned_last > learned_first,
        learned_last.near(learned_first, within=COMPARABLE),
        shown_last > follows_exchanged(IN_TURN_ICL),
    )
