"""Ramsauer et al. 2021: softmax attention descends the energy of a modern Hopfield network, in its query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, ramsauer
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import hopfield_energy

from ..cases import SEEDS, normal


@dataclass(frozen=True, eq=False)
class Memory:
    """Stored patterns, values apart from them, a state, and the factor of the scores."""

    patterns: Tensor
    values: Tensor
    state: Tensor
    beta: float


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    """Two to six patterns of any width above one."""
    width, patterns, seed = draw(st.integers(2, 5)), draw(st.integers(2, 6)), draw(SEEDS)
    beta = draw(st.sampled_from([0.1, 0.5, 1.0, 2.0]))
    return Memory(normal(seed, patterns, width), normal(seed + 1, patterns, width), normal(seed + 2, width), beta)


@ramsauer.claim("hopfield-step", where="section 2, energy and update rule, as reported", rule=IN_EVERY_CASE, on="exact")
def test_attention_is_a_step_on_the_energy(evidence: ExactEvidence, decide: Decide) -> None:
    """Softmax attention of a state s to patterns X that are keys and values, X^T softmax(beta X s), is a gradient step
    with rate 1 from s on the energy -lse(beta, X s) + |s|^2 / 2, and never raises it.
    """

    @given(memories())
    def attention_equals_the_step(case: Memory) -> None:
        attended = hopfield_energy.retrieve(case.patterns, case.state, case.beta)
        evidence.equal(attended, attention(case, case.patterns), "the next state, and torch's attention")
        evidence.equal(stepped(hopfield_energy.energy, case), attended, "a gradient step on the energy")

    @given(memories(), st.integers(1, 5))
    def the_energy_never_rises(case: Memory, steps: int) -> None:
        state = case.state
        for _ in range(steps):
            after = hopfield_energy.retrieve(case.patterns, state, case.beta)
            before, reached = (hopfield_energy.energy(case.patterns, each, case.beta) for each in (state, after))
            evidence.check(bool(reached <= before + 1e-12), "the energy after a step is not higher")
            state = after

    decide(evidence.every(attention_equals_the_step, the_energy_never_rises))


@test_attention_is_a_step_on_the_energy.claim.needs("values that are the keys themselves")
def test_with_other_values_attention_descends_nothing(evidence: ExactEvidence, decide: Decide) -> None:
    """With values of their own attention is the gradient of no function of the state: its Jacobian is not symmetric."""

    @given(memories())
    def only_keys_as_values_are_a_gradient(case: Memory) -> None:
        with_keys, with_values = (
            torch.func.jacrev(lambda state, values=values: (case.beta * case.patterns @ state).softmax(0) @ values)(
                case.state
            )
            for values in (case.patterns, case.values)
        )
        evidence.equal(with_keys, with_keys.T, "the Jacobian of attention with keys as values")
        evidence.different(with_values, with_values.T, "the Jacobian of attention with other values")

    decide(evidence.every(only_keys_as_values_are_a_gradient))


@ramsauer.claim(
    "hopfield-energy-posted",
    where="post of the authors' institute (jku.at), a new energy function and a new update rule",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_attention_is_a_step_on_the_energy_as_posted(evidence: ExactEvidence, decide: Decide) -> None:
    """The update rule X^T softmax(beta X s) is a gradient step with rate 1 on the energy of the authors' post, whose
    first term is -lse(-beta, X s).
    """

    @given(memories())
    def attention_equals_the_step(case: Memory) -> None:
        evidence.equal(stepped(hopfield_energy.posted_energy, case), attention(case, case.patterns), "a gradient step")

    decide(evidence.every(attention_equals_the_step))


def attention(case: Memory, values: Tensor) -> Tensor:
    """Attention as torch computes it, of the state to the patterns."""
    attended = torch.nn.functional.scaled_dot_product_attention(
        case.state[None, None], case.patterns[None], values[None], scale=case.beta
    )
    return attended[0, 0]


def stepped(energy: Callable[[Tensor, Tensor, float], Tensor], case: Memory) -> Tensor:
    """The state after a step of torch's SGD on an energy."""
    state = torch.nn.Parameter(case.state.clone())
    energy(case.patterns, state, case.beta).backward()
    torch.optim.SGD([state], lr=1.0).step()
    return state.detach()
