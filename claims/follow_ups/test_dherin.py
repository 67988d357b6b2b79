"""Dherin et al. 2025: a context as a change of the weights of an MLP, and whether that is something learned.

The formulas are given as reported, from accounts of the paper.
"""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, dherin
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import implicit_update
from icl_claims.theory import linear_self_attention as attention

from ..cases import SEEDS, normal
from ..small_transformers import few_cases
from .one_block import READS_ATTENTION, WORDS, Contexts, OneBlock, Passed, contexts, one_block
from .strategies import Attention, attention_layers

HIDDEN = 16  # of the small transformers


@dherin.claim(
    "implicit-rank-one",
    where="theorem 2.2 and appendix B.2, as reported",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_a_context_does_what_a_rank_one_update_does(evidence: ExactEvidence, decide: Decide) -> None:
    """With a context, a block answers a query as it does without it after the first matrices W of its MLP have changed
    by (W dA) A(x)^T / |A(x)|^2, and what the context adds to the residual is added there.
    """

    @few_cases
    @given(contexts(), SEEDS)
    def the_updated_block_answers_as_with_the_context(case: Contexts, seed: int) -> None:
        for block in case.blocks():
            with_context, without = both(block, case.context, case.query)
            updates = implicit_updates(block, without, with_context)
            for update in updates.values():
                rank = int(torch.linalg.matrix_rank(update, atol=1e-9))
                evidence.check(rank <= 1, f"{block.family}: the update has rank one, or nothing is to change")
            answer = answer_after(block, updates, case, with_context.attended - without.attended)
            evidence.equal(answer, with_context.output, f"{block.family}: the block's output")
            evidence.different(without.output, with_context.output, f"{block.family}: without an update")

    @few_cases
    @given(contexts(), SEEDS)
    def it_is_one_update_of_many(case: Contexts, seed: int) -> None:
        for block in case.blocks():
            with_context, without = both(block, case.context, case.query)
            read = without.read[0]
            updates = implicit_updates(block, without, with_context)
            for name, update in updates.items():
                free = normal(seed, *update.shape)
                updates[name] = update + free - torch.outer(free @ read, read) / (read @ read)
            answer = answer_after(block, updates, case, with_context.attended - without.attended)
            evidence.equal(answer, with_context.output, f"{block.family}: another update")

    decide(evidence.every(the_updated_block_answers_as_with_the_context, it_is_one_update_of_many))


@test_a_context_does_what_a_rank_one_update_does.claim.needs("the update that the query itself calls for")
def test_the_update_of_another_query_does_something_else(evidence: ExactEvidence, decide: Decide) -> None:
    """With the update that another query calls for, the block does not answer as with the context."""

    @few_cases
    @given(contexts())
    def the_update_of_another_query_fails(case: Contexts) -> None:
        for block in case.blocks():
            if block.family in READS_ATTENTION:
                with_context, without = both(block, case.context, case.query)
                others, other = both(block, case.context, case.other_query)
                updates = implicit_updates(block, other, others)
                answer = answer_after(block, updates, case, with_context.attended - without.attended)
                evidence.different(answer, with_context.output, f"{block.family}: the update of another query")

    decide(evidence.every(the_update_of_another_query_fails))


@dherin.claim(
    "no-static-update",
    where="what theorem 2.2 leaves open, as asked by reviewers; worked out here",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_no_one_update_serves_more_queries_than_dimensions(evidence: ExactEvidence, decide: Decide) -> None:
    """One change of W stands for a context for as many queries as the MLP reads dimensions, and for no more: the change
    is not a set of weights that was learned from the context.
    """

    @few_cases
    @given(contexts(), st.permutations(WORDS))
    def one_query_more_is_too_many(case: Contexts, words: list[int]) -> None:
        for family in READS_ATTENTION:
            block = one_block(family, case.seed)
            queries = [[word] for word in words[: HIDDEN + 1]]
            with_context = block.run([[*case.context, *query] for query in queries])
            without = block.run(queries, first=len(case.context))
            for name, weight in block.first_matrices().items():
                for many in (HIDDEN // 2, HIDDEN, HIDDEN + 1):
                    read, wanted = without.read[:many], with_context.read[:many] @ weight.mT
                    update = implicit_update.static_update(weight, read, with_context.read[:many])
                    answered, what = read @ (weight + update).mT, f"{family}, {name}: {many} queries"
                    if many <= HIDDEN:
                        evidence.equal(answered, wanted, what)
                    else:
                        evidence.different(answered, wanted, what)

    decide(evidence.every(one_query_more_is_too_many))


@test_no_one_update_serves_more_queries_than_dimensions.claim.needs("attention that is not linear in the query")
def test_of_linear_attention_one_update_serves_every_query(evidence: ExactEvidence, decide: Decide) -> None:
    """What a context does through linear self-attention, one change of W does for any number of queries."""

    @given(attention_layers(), SEEDS)
    def one_update_serves_all(case: Attention, seed: int) -> None:
        width = case.queries.shape[1]
        weight, queries = normal(seed, 3, width), normal(seed + 1, 5 * width, width)
        with_context = attention.attend_linearly(case.layers[0], case.demonstrations, queries)
        update = implicit_update.static_update(weight, queries, with_context)
        evidence.equal(queries @ (weight + update).mT, with_context @ weight.mT, "the answers to all queries")

    decide(evidence.every(one_update_serves_all))


def both(block: OneBlock, context: tuple[int, ...], query: tuple[int, ...]) -> tuple[Passed, Passed]:
    """What the block does with a context before the query and, at the same positions, without it."""
    return block.run([[*context, *query]]), block.run([[*query]], first=len(context))


def implicit_updates(block: OneBlock, without: Passed, with_context: Passed) -> dict[str, torch.Tensor]:
    """The update of each of the MLP's first matrices."""
    return {
        name: implicit_update.rank_one_update(weight, without.read[0], with_context.read[0])
        for name, weight in block.first_matrices().items()
    }


def answer_after(
    block: OneBlock, updates: dict[str, torch.Tensor], case: Contexts, added: torch.Tensor
) -> torch.Tensor:
    """What the updated block gives without the context, with a vector added to the residual; the block is restored."""
    weights = block.first_matrices()
    before = {name: weight.clone() for name, weight in weights.items()}
    for name, weight in weights.items():
        weight.add_(updates[name])
    answer = block.run([[*case.query]], first=len(case.context)).output + added
    for name, weight in weights.items():
        weight.copy_(before[name])
    return answer
