"""Section 3.2: what SimAOU and SimAM measure, and where in a model they measure it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, rethinking
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Method, prompting
from icl_claims.metrics import Metric, similarity
from icl_claims.tasks.prompts import Demonstrations, Queries

from ..cases import attention_maps, attention_outputs
from ..quantities import FT
from ..small_transformers import (
    SINGLE_PRECISION,
    Small,
    few_cases,
    small_demonstrations,
    small_queries,
    small_transformers,
)

AVERAGED = "averaged over layers and queries"
Vector: TypeAlias = list[float]


@rethinking.claim("metric-aou-def", where="section 3.2, SimAOU", rule=IN_EVERY_CASE, on="exact")
def test_sim_aou_is_the_cosine_of_updates_of_normalised_outputs(evidence: ExactEvidence, decide: Decide) -> None:
    """SimAOU is the cosine between what two methods add to the normalised attention output at the last token, averaged
    over layers and queries.
    """

    @given(attention_outputs())
    def loops_over_queries_and_layers_give_the_same(states: tuple[Tensor, Tensor, Tensor]) -> None:
        layers, queries, _ = states[0].shape
        literal = torch.zeros(queries, layers, dtype=torch.float64)
        for query in range(queries):
            for layer in range(layers):
                icl, ft, zero = (unit(h[layer, query].tolist()) for h in states)
                literal[query, layer] = cosine(minus(icl, zero), minus(ft, zero))
        values = similarity.sim_aou.values(*states)
        evidence.equal(values, literal, "cos(h_ICL - h_ZSL, h_FT - h_ZSL)")
        evidence.equal(score(similarity.sim_aou, values), mean(literal), AVERAGED)

    @given(attention_outputs(), st.floats(0.1, 10))
    def length_of_a_state_is_irrelevant(states: tuple[Tensor, Tensor, Tensor], scale: float) -> None:
        icl, ft, zero = states
        scaled = similarity.sim_aou.values(scale * icl, ft, zero / scale)
        evidence.equal(similarity.sim_aou.values(icl, ft, zero), scaled, "states are normalised")

    @few_cases
    @given(small_transformers(), small_demonstrations(), small_queries())
    def states_are_what_the_attention_module_puts_out_at_the_last_token(
        transformers: tuple[Small, ...], demonstrations: Demonstrations, queries: Queries
    ) -> None:
        for small in transformers:
            for method, context in settings_with_contexts(demonstrations):
                seen = method.learn(small.model(), demonstrations).answer(queries).attention_outputs
                literal = [attention_output_by_hook(small, [*context, *row]) for row in queries.rows]
                what = f"{small.family}: output of the attention module, after its output projection"
                evidence.equal(seen, torch.stack(literal, dim=1), what, within=SINGLE_PRECISION)

    decide(
        evidence.every(
            loops_over_queries_and_layers_give_the_same,
            length_of_a_state_is_irrelevant,
            states_are_what_the_attention_module_puts_out_at_the_last_token,
        )
    )


@test_sim_aou_is_the_cosine_of_updates_of_normalised_outputs.claim.needs("normalised states")
def test_without_normalisation_sim_aou_is_another_number(evidence: ExactEvidence, decide: Decide) -> None:
    """On states as they are, SimAOU is another number."""

    @given(attention_outputs())
    def values_differ(states: tuple[Tensor, Tensor, Tensor]) -> None:
        plain = similarity.sim_aou.values(*states, normalised=False)
        evidence.different(similarity.sim_aou.values(*states), plain, "normalised and plain states", by=1e-3)

    decide(evidence.every(values_differ))


@rethinking.claim("metric-am-def", where="section 3.2, SimAM", rule=IN_EVERY_CASE, on="exact")
def test_sim_am_is_the_cosine_of_scores_over_the_query(evidence: ExactEvidence, decide: Decide) -> None:
    """SimAM is the cosine between the attention scores before softmax that two settings give to the tokens of the query
    alone, averaged over heads, layers and queries.
    """

    @given(attention_maps())
    def loops_over_queries_layers_and_heads_give_the_same(maps: tuple[Tensor, Tensor, Tensor]) -> None:
        layers, heads, queries, _ = maps[0].shape
        literal = torch.zeros(queries, layers, dtype=torch.float64)
        for query in range(queries):
            for layer in range(layers):
                of_heads = [cosine(*(m[layer, head, query].tolist() for m in maps[:2])) for head in range(heads)]
                literal[query, layer] = sum(of_heads) / heads
        values = similarity.sim_am.values(*maps[:2])
        evidence.equal(values, literal, "mean over heads of cos(m_ICL, m_FT)")
        evidence.equal(score(similarity.sim_am, values), mean(literal), AVERAGED)

    @given(attention_maps(), st.integers(1, 4))
    def tokens_that_a_query_does_not_have_are_irrelevant(maps: tuple[Tensor, Tensor, Tensor], more: int) -> None:
        longer = [torch.nn.functional.pad(m, (0, more)) for m in maps[:2]]
        evidence.equal(similarity.sim_am.values(*maps[:2]), similarity.sim_am.values(*longer), "zeros at the end")

    @few_cases
    @given(small_transformers(), small_demonstrations(), small_queries())
    def scores_are_those_before_softmax_over_the_query_alone(
        transformers: tuple[Small, ...], demonstrations: Demonstrations, queries: Queries
    ) -> None:
        for small in transformers:
            for method, context in settings_with_contexts(demonstrations):
                scores = method.learn(small.model(), demonstrations).answer(queries).scores
                assert scores is not None
                evidence.check(
                    scores.shape[-1] == max(map(len, queries.rows)), "as many columns as the query has tokens"
                )
                for index, row in enumerate(queries.rows):
                    literal = log_attention_to(small, [*context, *row], len(row))
                    what = f"{small.family}: scores = log of the attention weights, up to the normaliser"
                    evidence.equal(
                        centred(scores[:, :, index, : len(row)]), centred(literal), what, within=SINGLE_PRECISION
                    )

    decide(
        evidence.every(
            loops_over_queries_layers_and_heads_give_the_same,
            tokens_that_a_query_does_not_have_are_irrelevant,
            scores_are_those_before_softmax_over_the_query_alone,
        )
    )


@test_sim_am_is_the_cosine_of_scores_over_the_query.claim.needs("scores, not their updates")
def test_on_updates_of_scores_two_methods_can_change_places(evidence: ExactEvidence, decide: Decide) -> None:
    """Of two methods, the one ahead on scores can be behind on their updates."""

    @given(attention_maps())
    def barely_moved_the_wrong_way_against_far_the_right_way(maps: tuple[Tensor, Tensor, Tensor]) -> None:
        zero_shot, update = maps[2], maps[0] / maps[0].norm(dim=-1, keepdim=True)
        update = 0.3 * update * zero_shot.norm(dim=-1, keepdim=True)
        learned, wrong_way, right_way = zero_shot + update, zero_shot - 0.01 * update, zero_shot + 100 * update
        direct = [similarity.sim_am.values(learned, m).mean() for m in (wrong_way, right_way)]
        of_update = [similarity.sim_am_update.values(learned, m, zero_shot).mean() for m in (wrong_way, right_way)]
        evidence.check(bool(direct[0] > direct[1]), "scores: what hardly moved is nearer")
        evidence.check(bool(of_update[0] < of_update[1]), "updates: what moved the same way is nearer")

    decide(evidence.every(barely_moved_the_wrong_way_against_far_the_right_way))


def score(metric: Metric, values: Tensor) -> Tensor:
    """The score of a trial with such values, query by query and layer by layer."""
    queries = len(values)
    trial = TrialResult(
        spec=TrialSpec("", "", "sst2", k=0, seed=0, permutation=0, queries=None, methods=()),
        query_rows=np.arange(queries),
        gold=np.zeros(queries, dtype=int),
        log_probabilities={},
        content_free={},
        by_layer={Entry.of(metric(FT)): values.numpy()},
    )
    column = trial.column(metric(FT))
    assert column is not None
    return torch.tensor([column.mean()], dtype=torch.float64)


def mean(table: Tensor) -> Tensor:
    """The sum of all entries, divided by how many there are."""
    entries = [entry for row in table.tolist() for entry in row]
    return torch.tensor([sum(entries) / len(entries)], dtype=torch.float64)


def unit(h: Vector) -> Vector:
    """A vector scaled to unit length."""
    length = math.sqrt(sum(x * x for x in h))
    return [x / length for x in h]


def minus(a: Vector, b: Vector) -> Vector:
    """A - b."""
    return [x - y for x, y in zip(a, b, strict=True)]


def cosine(a: Vector, b: Vector) -> float:
    """cos(a, b)."""
    return sum(x * y for x, y in zip(unit(a), unit(b), strict=True))


def centred(scores: Tensor) -> Tensor:
    """Scores less their mean, which takes away whatever one number was added to all of them."""
    return scores - scores.mean(dim=-1, keepdim=True)


def settings_with_contexts(demonstrations: Demonstrations) -> tuple[tuple[Method, Sequence[int]], ...]:
    """Zero-shot and in-context learning, each with what it reads before a query."""
    return (prompting.ZeroShot(), demonstrations.context[:1]), (prompting.InContext(), demonstrations.context)


def attention_output_by_hook(small: Small, ids: Sequence[int]) -> Tensor:
    """Output of every attention module at the last token, as transformers' own attention computes it."""
    network, outputs, names = small.plain(), [], attention_names(small)
    for name in names:
        network.get_submodule(name).register_forward_hook(lambda _m, _in, output: outputs.append(output[0][0, -1]))
    network(torch.tensor([ids]), use_cache=False)
    return torch.stack(outputs)


def log_attention_to(small: Small, ids: Sequence[int], last: int) -> Tensor:
    """Log of the attention weights of the last token over so many last tokens: layers, heads, tokens."""
    attentions = small.plain("eager")(torch.tensor([ids]), use_cache=False, output_attentions=True).attentions
    return torch.stack([weights[0, :, -1, -last:] for weights in attentions]).log()


def attention_names(small: Small) -> list[str]:
    """Qualified names of the attention modules, lowest first."""
    names = {id(module): name for name, module in small.model().network.named_modules()}
    return [names[id(module)] for module in small.model().attention_modules]
