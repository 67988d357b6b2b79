"""The energy of a modern Hopfield network: softmax attention descends it in the state, that is, in its query.

Patterns x_j are rows of X, the state is s, lse(beta, z) = 1/beta log sum_j exp(beta z_j). The energies leave out the
terms that do not depend on the state.

Source: Ramsauer et al. 2021, the energy and the update rule, as reported.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Patterns = Float[Tensor, "patterns width"]
State = Float[Tensor, " width"]
Energy = Float[Tensor, ""]


def energy(patterns: Patterns, state: State, beta: float) -> Energy:
    """-lse(beta, X s) + |s|^2 / 2.

    Source: Ramsauer et al. 2021, section 2, as reported.

    >>> energy(torch.tensor([[2.0]]), torch.tensor([1.0]), beta=1.0).item()  # -2 + 1/2
    -1.5
    """
    return -torch.logsumexp(beta * (patterns @ state), dim=0) / beta + state @ state / 2


def posted_energy(patterns: Patterns, state: State, beta: float) -> Energy:
    """-lse(-beta, X s) + |s|^2 / 2, with the sign of a post of the paper's authors.

    Source: "Hopfield Networks is All You Need", post on the page of the authors' institute (jku.at), "A new energy
    function and a new update rule".

    >>> posted_energy(torch.tensor([[2.0], [2.0]]), torch.tensor([0.0]), beta=1.0).item() == torch.tensor(2.0).log()
    tensor(True)
    """
    return torch.logsumexp(-beta * (patterns @ state), dim=0) / beta + state @ state / 2


def retrieve(patterns: Patterns, state: State, beta: float) -> State:
    """The next state X^T softmax(beta X s): attention of the state to the patterns, which are keys and values.

    Source: Ramsauer et al. 2021, section 2, as reported.

    >>> retrieve(torch.tensor([[2.0], [4.0]]), torch.tensor([0.0]), beta=1.0).tolist()
    [3.0]
    """
    return (beta * (patterns @ state)).softmax(dim=0) @ patterns
