"""Hendel et al. 2023 and Han et al. 2023, on the six tasks: what in-context learning may be instead of descent.

One hidden state could not hold an update of all keys and values, and a mean over demonstrations is no descent.
"""

from icl_claims.claims import ON_MOST_TASKS, Asked, han, hendel
from icl_claims.methods import KernelRegression, SwitchedLabels, TaskVector
from icl_claims.metrics import accuracy, accuracy_gain, beyond_half_way, rpa

from ..quantities import FT, ICL, ZSL

VECTOR, OF_FINETUNING, GAUSSIAN = TaskVector(), TaskVector(FT), TaskVector(state="gaussian")
KERNEL = KernelRegression()
RANDOM_KERNEL = SwitchedLabels(KERNEL, "random")


@hendel.claim("task-vector", where="on one hidden state, as reported", rule=ON_MOST_TASKS, on="trials", about="rivals")
def test_one_hidden_state_recovers_most_of_the_gain() -> Asked:
    """On most tasks, one hidden state of another query with demonstrations, put into a zero-shot pass, recovers more
    than half of the accuracy that the demonstrations gain.
    """
    return (
        beyond_half_way(VECTOR) > 0.0,
        accuracy(VECTOR) > accuracy(GAUSSIAN),
        accuracy_gain(VECTOR, ZSL) > 0.0,
        accuracy(VECTOR) > accuracy(OF_FINETUNING),
        beyond_half_way(FT) > 0.0,
    )


@han.claim(
    "kernel-predicts-icl", where="on kernel regression, as reported", rule=ON_MOST_TASKS, on="trials", about="rivals"
)
def test_a_kernel_over_demonstrations_predicts_the_changes() -> Asked:
    """On most tasks, a mean of the demonstrations' labels, weighed by how alike hidden states are, shares more changes
    of predictions with in-context learning than finetuning does, and more than the same mean of random labels.
    """
    return (
        (rpa(KERNEL) > rpa(FT)) & (rpa(KERNEL) > rpa(RANDOM_KERNEL)),
        accuracy(KERNEL) > accuracy(ICL),
        accuracy(KERNEL) > accuracy(RANDOM_KERNEL),
    )
