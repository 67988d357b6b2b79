"""Section 3.4: what a layer's update depends on, in context and in finetuning."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hypothesis import given
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, rethinking
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.methods import Learned, Method, finetuning, layer_causal, prompting
from icl_claims.methods.layer_causal import Update
from icl_claims.tasks.prompts import Demonstrations, Queries

from ..small_transformers import (
    SINGLE_PRECISION,
    Small,
    block_gradients,
    block_names,
    change_of,
    few_cases,
    key_value_gradients,
    small_demonstrations,
    small_queries,
    small_transformers,
    take_step,
)

LEARNING_RATE = 0.1
UPDATES: tuple[Update, Update] = ("sequential", "concurrent")


@rethinking.claim("sgd-concurrent", where="section 3.4, sequential update", rule=IN_EVERY_CASE, on="exact")
def test_a_step_of_finetuning_moves_all_layers_at_once(evidence: ExactEvidence, decide: Decide) -> None:
    """A step of finetuning moves all layers at once, each along its gradient at the old parameters."""

    @few_cases
    @given(small_transformers(), small_demonstrations())
    def steps_are_those_of_gradient_descent_written_out(
        transformers: tuple[Small, ...], demonstrations: Demonstrations
    ) -> None:
        for small in transformers:
            network = small.plain()
            for ids in demonstrations.sequences:
                take_step(network, key_value_gradients(network, ids, block_names(small)), LEARNING_RATE)
            learned = finetuning.Finetuning(LEARNING_RATE).learn(small.model(), demonstrations)
            changes = change_of(small, learned.weights), change_of(small, network)
            evidence.equal(*changes, f"{small.family}: finetuning = SGD written out", within=SINGLE_PRECISION)
            for block in range(small.layers):
                moved = change_of(small, learned.weights, block)
                evidence.different(moved, torch.zeros_like(moved), f"{small.family}: block {block} moves")

    @few_cases
    @given(small_transformers(), small_demonstrations(most=1))
    def moving_one_layer_after_another_is_something_else(
        transformers: tuple[Small, ...], demonstrations: Demonstrations
    ) -> None:
        for small in transformers:
            network = small.plain()
            for name in block_names(small):
                take_step(network, key_value_gradients(network, demonstrations.sequences[0], [name]), LEARNING_RATE)
            learned = finetuning.Finetuning(LEARNING_RATE).learn(small.model(), demonstrations)
            changes = change_of(small, learned.weights), change_of(small, network)
            evidence.different(*changes, f"{small.family}: layers one after another", by=10 * SINGLE_PRECISION)

    decide(
        evidence.every(
            steps_are_those_of_gradient_descent_written_out, moving_one_layer_after_another_is_something_else
        )
    )


@rethinking.claim("layer-causality-icl", where="section 3.4, layer causality", rule=IN_EVERY_CASE, on="exact")
def test_in_context_updates_do_not_see_the_layers_above(evidence: ExactEvidence, decide: Decide) -> None:
    """What demonstrations in context add to the output of an attention layer does not depend on the layers above it."""

    @few_cases
    @given(small_transformers(), small_demonstrations(), small_queries())
    def other_layers_above_leave_the_update_bit_for_bit(
        transformers: tuple[Small, ...], demonstrations: Demonstrations, queries: Queries
    ) -> None:
        for small in transformers:
            update = update_of_outputs(prompting.InContext(), small, demonstrations, queries)
            for layer in range(small.layers - 1):
                other = small.with_changed(range(layer + 1, small.layers))
                changed = update_of_outputs(prompting.InContext(), other, demonstrations, queries)
                below = f"{small.family}: updates up to layer {layer}"
                evidence.check(torch.equal(update[: layer + 1], changed[: layer + 1]), below)
                above = f"{small.family}: updates above layer {layer}"
                evidence.different(update[layer + 1 :], changed[layer + 1 :], above, by=1e-2)

    @few_cases
    @given(small_transformers(), small_demonstrations(), small_queries())
    def another_layer_below_changes_the_update(
        transformers: tuple[Small, ...], demonstrations: Demonstrations, queries: Queries
    ) -> None:
        for small in transformers:
            update = update_of_outputs(prompting.InContext(), small, demonstrations, queries)
            changed = update_of_outputs(prompting.InContext(), small.with_changed([0]), demonstrations, queries)
            for layer in range(1, small.layers):
                evidence.different(update[layer], changed[layer], f"{small.family}: layer {layer}", by=1e-2)

    decide(evidence.every(other_layers_above_leave_the_update_bit_for_bit, another_layer_below_changes_the_update))


@rethinking.claim("no-layer-causality-ft", where="section 3.4, layer causality", rule=IN_EVERY_CASE, on="exact")
def test_only_layer_causal_updates_are_blind_to_layers_above(evidence: ExactEvidence, decide: Decide) -> None:
    """What finetuning adds to the output of an attention layer depends on the layers above it; with layer-causal
    finetuning it does not.
    """

    @few_cases
    @given(small_transformers(), small_demonstrations(most=2), small_queries())
    def other_layers_above_change_what_finetuning_adds(
        transformers: tuple[Small, ...], demonstrations: Demonstrations, queries: Queries
    ) -> None:
        method = finetuning.Finetuning(LEARNING_RATE)
        for small, layer, other in with_others_above(transformers):
            learned = [method.learn(s.model(), demonstrations) for s in (small, other)]
            one, another = (what_is_added(by, demonstrations, queries)[layer] for by in learned)
            evidence.different(one, another, f"{small.family}: output of layer {layer}", by=1e-3)
            weights = change_of(small, learned[0].weights, layer), change_of(other, learned[1].weights, layer)
            evidence.different(*weights, f"{small.family}: weights of layer {layer}", by=1e-3)

    @few_cases
    @given(small_transformers(), small_demonstrations(most=2), small_queries())
    def other_layers_above_leave_what_layer_causal_finetuning_adds_bit_for_bit(
        transformers: tuple[Small, ...], demonstrations: Demonstrations, queries: Queries
    ) -> None:
        for update in UPDATES:
            method = layer_causal.LayerCausal(LEARNING_RATE, update)
            for small, layer, other in with_others_above(transformers):
                before, after = (update_of_outputs(method, s, demonstrations, queries) for s in (small, other))
                what = f"{small.family}: {update}, outputs up to layer {layer}"
                evidence.check(torch.equal(before[: layer + 1], after[: layer + 1]), what)

    decide(
        evidence.every(
            other_layers_above_change_what_finetuning_adds,
            other_layers_above_leave_what_layer_causal_finetuning_adds_bit_for_bit,
        )
    )


@rethinking.claim("lc-sequential-step", where="section 3.4 and figure 2", rule=IN_EVERY_CASE, on="exact")
def test_updating_layers_in_turn_differs_in_the_second_order(evidence: ExactEvidence, decide: Decide) -> None:
    """Updating one layer after another, each on what the updated layers below it put out, is a procedure of its own:
    from the second layer on it parts from a step of all layers at once, in the second order of the step.
    """

    @few_cases
    @given(small_transformers(), small_demonstrations(most=2))
    def sequential_steps_are_those_written_out(transformers: tuple[Small, ...], demonstrations: Demonstrations) -> None:
        for small in transformers:
            network = small.plain()
            for ids in demonstrations.sequences:
                for block in range(small.layers):
                    take_step(network, block_gradients(small, network, ids, block), LEARNING_RATE)
            changes = layer_causal_change(small, demonstrations, "sequential"), change_of(small, network)
            evidence.equal(*changes, f"{small.family}: sequential steps, written out", within=SINGLE_PRECISION)

    @few_cases
    @given(small_transformers(), small_demonstrations(most=1))
    def parts_from_the_concurrent_step_above_the_first_layer(
        transformers: tuple[Small, ...], demonstrations: Demonstrations
    ) -> None:
        for small in transformers:
            for block in range(small.layers):
                in_turn, at_once = (layer_causal_change(small, demonstrations, update, block) for update in UPDATES)
                if block == 0:
                    evidence.equal(in_turn, at_once, f"{small.family}: the first layer has none below it")
                else:
                    what = f"{small.family}: block {block} sees updated layers below"
                    evidence.different(in_turn, at_once, what, by=10 * SINGLE_PRECISION)

    @few_cases
    @given(small_transformers(), small_demonstrations(most=1))
    def half_the_step_a_quarter_of_the_difference(
        transformers: tuple[Small, ...], demonstrations: Demonstrations
    ) -> None:
        for small in transformers:
            gaps = [
                layer_causal_change(small, demonstrations, "sequential", learning_rate=rate)
                - layer_causal_change(small, demonstrations, "concurrent", learning_rate=rate)
                for rate in (1e-4, 5e-5)
            ]
            evidence.equal(gaps[0], 4 * gaps[1], f"{small.family}: second order in the step", within=0.1)

    @few_cases
    @given(small_transformers(layers=1), small_demonstrations())
    def with_one_layer_there_is_no_difference(transformers: tuple[Small, ...], demonstrations: Demonstrations) -> None:
        for small in transformers:
            in_turn, at_once = (layer_causal_change(small, demonstrations, update) for update in UPDATES)
            evidence.equal(in_turn, at_once, f"{small.family}: one layer")

    decide(
        evidence.every(
            sequential_steps_are_those_written_out,
            parts_from_the_concurrent_step_above_the_first_layer,
            half_the_step_a_quarter_of_the_difference,
            with_one_layer_there_is_no_difference,
        )
    )


def update_of_outputs(method: Method, small: Small, demonstrations: Demonstrations, queries: Queries) -> Tensor:
    """h_method - h_ZSL, for every layer and query."""
    return what_is_added(method.learn(small.model(), demonstrations), demonstrations, queries)


def what_is_added(learned: Learned, demonstrations: Demonstrations, queries: Queries) -> Tensor:
    """The attention outputs after learning, less those before."""
    zero_shot = prompting.ZeroShot().learn(learned.model, demonstrations)
    return learned.answer(queries).attention_outputs - zero_shot.answer(queries).attention_outputs


def with_others_above(transformers: tuple[Small, ...]) -> Iterator[tuple[Small, int, Small]]:
    """Every transformer, each of its layers but the last, and the transformer with other layers above that one."""
    for small in transformers:
        for layer in range(small.layers - 1):
            yield small, layer, small.with_changed(range(layer + 1, small.layers))


def layer_causal_change(
    small: Small,
    demonstrations: Demonstrations,
    update: Update,
    block: int | None = None,
    learning_rate: float = LEARNING_RATE,
) -> Tensor:
    """What layer-causal finetuning adds to the key and value projections."""
    method = layer_causal.LayerCausal(learning_rate, update)
    return change_of(small, method.learn(small.model(), demonstrations).weights, block)
