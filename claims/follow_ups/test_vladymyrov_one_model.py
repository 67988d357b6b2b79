"""Vladymyrov et al. 2024: a stack of linear self-attention holds one linear model, whatever its weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, vladymyrov
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import token_map
from icl_claims.theory.linear_self_attention import LinearSelfAttention

from ..cases import SEEDS, normal


@dataclass(frozen=True, eq=False)
class Stack:
    """Layers with any weights, examples with any targets, and more queries than a token has entries."""

    layers: tuple[LinearSelfAttention, ...]
    demonstrations: Tensor
    queries: Tensor

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.queries.shape[1]

    def asked(self) -> Tensor:
        """Query tokens (x, 0)."""
        return attention.query_tokens(self.queries.new_zeros(1, self.inputs), self.queries)


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """One to four layers, one to four inputs, and any number of examples up to six, with targets that are noise."""
    layers, inputs, examples = (draw(st.integers(1, most)) for most in (4, 4, 6))
    width, seed = inputs + 1, draw(SEEDS)
    weights = normal(seed, layers, 4, width, width) / (width * examples**0.5)
    tokens, queries = normal(seed + 1, examples, width), normal(seed + 2, 3 * width, inputs)
    return Stack(tuple(LinearSelfAttention(*four) for four in weights), tokens, queries)


@vladymyrov.claim("layers-stay-linear", where="theorem 4.1 and lemma 4.3", rule=IN_EVERY_CASE, on="exact")
def test_every_layer_holds_one_linear_model(evidence: ExactEvidence, decide: Decide) -> None:
    """After any number of layers of linear self-attention, every token of a prompt is x_j -> M x_j + y_j u and
    y_j -> a y_j - w^T x_j, with one M, u, w and a, which follow layer by layer from the moments of the examples.
    """

    @given(stacks())
    def tokens_are_where_the_map_takes_them(case: Stack) -> None:
        for depth in range(1, len(case.layers) + 1):
            found = token_map.after(case.layers[:depth], case.demonstrations)
            for tokens, what in ((case.asked(), "queries"), (case.demonstrations, "examples")):
                moved = attention.stack(case.layers[:depth], case.demonstrations, tokens)
                evidence.equal(moved, found(tokens), f"{what} after {depth} layers")

    decide(evidence.every(tokens_are_where_the_map_takes_them))


@test_every_layer_holds_one_linear_model.claim.needs("no softmax")
def test_with_a_softmax_no_linear_map_is_shared(evidence: ExactEvidence, decide: Decide) -> None:
    """With a softmax, no one linear map takes all queries where a layer takes them."""

    @given(stacks())
    def no_map_fits(case: Stack) -> None:
        layer, tokens = case.layers[0], case.asked()
        scores = (tokens @ layer.query.mT) @ (10 * case.demonstrations @ layer.key.mT).mT
        moved = tokens + scores.softmax(-1) @ case.demonstrations @ layer.value.mT @ layer.projection.mT
        with_constant = torch.cat([case.queries, torch.ones(len(tokens), 1, dtype=torch.float64)], dim=1)
        nearest = with_constant @ torch.linalg.lstsq(with_constant, moved).solution
        if len(case.demonstrations) > 1:
            evidence.different(moved, nearest, "tokens and the nearest affine map of them", by=1e-4)

    decide(evidence.every(no_map_fits))


@vladymyrov.claim("no-square-of-an-input", where="theorem 4.2", rule=IN_EVERY_CASE, on="exact")
def test_no_stack_answers_the_square_of_an_input(evidence: ExactEvidence, decide: Decide) -> None:
    """No stack of linear self-attention answers a query by the square of its first input, even with such targets in the
    prompt: over queries that are as likely as their opposites, answer and square are uncorrelated.
    """

    @given(stacks())
    def the_answer_is_odd(case: Stack) -> None:
        shown = case.demonstrations.clone()
        shown[:, -1] = shown[:, 0].square()
        tokens = torch.cat([case.asked(), -case.asked()])
        answered = attention.answers(attention.stack(case.layers, shown, tokens), case.inputs)[:, 0]
        squares, both = tokens[:, 0].square(), len(case.queries)
        evidence.equal(answered[:both], -answered[both:], "the answers to opposite queries")
        size = answered.norm() * squares.norm()
        evidence.equal(size + answered @ squares, size, "nothing beside the product of their lengths")

    decide(evidence.every(the_answer_is_odd))
