"""Negative controls of the claims of both papers: each broken variant refutes its claim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from icl_claims.methods import base, descent, layer_causal
from icl_claims.metrics import Answer, predictions, similarity
from icl_claims.models.blocks import hidden_of
from icl_claims.theory import dual_form, linearization
from tests.quality.controls import Control, computed, verdict_under

DUAL = "icl_claims.theory.dual_form"
LINEAR = "icl_claims.theory.linearization"
PREDICTIONS = "icl_claims.metrics.predictions"
SIMILARITY = "icl_claims.metrics.similarity"
ANSWER = "icl_claims.methods.base.Learned.answer"
DESCENT = "icl_claims.methods.descent"
FINETUNING = "icl_claims.methods.finetuning"
LAYER_CAUSAL = "icl_claims.methods.layer_causal"

# The originals, which broken variants are made of.
error_signals, weight_change = dual_form.error_signals, dual_form.weight_change
in_context_update, linearize = dual_form.in_context_update, linearization.linearize
coefficient_step, answer = linearization.coefficient_step, base.Learned.answer
rec2ftp, rpa, sim_aou, sim_am = predictions.rec2ftp, predictions.rpa, similarity.sim_aou, similarity.sim_am
sgd_step, block_losses = descent.sgd_step, layer_causal.block_losses
layer_causal_learn, concurrent = layer_causal.LayerCausal.learn, layer_causal.LayerCausal._concurrent_step


def with_attention_outputs(change):
    def broken(learned, queries):
        said = answer(learned, queries)
        return Answer(said.log_probabilities, change(said.attention_outputs), said.scores)

    return broken


def with_softmaxed_scores(learned, queries):
    said = answer(learned, queries)
    return Answer(said.log_probabilities, said.attention_outputs, said.scores.softmax(-1))


def layer_causal_in_place_of_finetuning(method, model, demonstrations):
    return layer_causal_learn(layer_causal.LayerCausal(method.learning_rate), model, demonstrations)


def undetached_block_losses(model, weights, sequence, loss="all_tokens"):
    outputs = []

    def keep(_layer, _args, _kwargs, output):
        outputs.append(hidden_of(output))

    with model.blocks.around(after=keep):
        model.sequence_logits(sequence, weights)
    return list(layer_causal.read_losses(model, outputs, sequence, loss))


def one_layer_left_out(parameters, weights, gradients, learning_rate):
    kept = [gradient if p.layer else 0 * gradient for p, gradient in zip(parameters, gradients, strict=True)]
    return sgd_step(parameters, weights, kept, learning_rate)


def queries_moved_too(parameters, weights, gradients, learning_rate):
    return {p.name: weights[p.name] - learning_rate * g for p, g in zip(parameters, gradients, strict=True)}


def heads_as_one(in_context, other):
    joined = [m.transpose(1, 2).flatten(2) for m in (in_context, other)]
    return cosine_similarity(*joined, dim=-1).T


def rpa_over_the_sum(in_context, finetuned, zero_shot, gold, **options):
    column = rpa.values(in_context, finetuned, zero_shot, gold, **options)
    return np.where(column == 1, 0.5, column)


def rpa_over_changes_by_finetuning(in_context, finetuned, zero_shot, gold, **options):
    column = rpa.values(in_context, finetuned, zero_shot, gold, **options)
    return np.where((finetuned != zero_shot)[:, None], column, np.nan)


def last_loss_only(*case):
    *lower, last = block_losses(*case)
    return [0 * loss for loss in lower] + [last]


def features_of(function, start, change):
    model = linearize(function, start)
    return linearization.LinearModel(model.value, change(model.features))


CONTROLS = [
    Control(
        "dual-delta-w",
        "error signals point up the gradient",
        {f"{DUAL}.error_signals": lambda *case: -error_signals(*case)},
    ),
    Control(
        "dual-delta-w",
        "the last example is left out",
        {f"{DUAL}.weight_change": lambda errors, inputs: weight_change(errors[:-1], inputs[:-1])},
    ),
    Control(
        "dual-delta-w",
        "the outer products are averaged",
        {f"{DUAL}.weight_change": lambda errors, inputs: weight_change(errors, inputs) / max(1, len(inputs))},
    ),
    Control(
        "dual-linear-attn",
        "softmax is left in",
        {f"{DUAL}.linear_attention": lambda values, keys, query: values.T @ torch.softmax(keys @ query, dim=0)},
    ),
    Control(
        "dual-linear-attn",
        "keys are scaled to unit length",
        {f"{DUAL}.linear_attention": lambda v, k, q: v.T @ (torch.nn.functional.normalize(k, dim=-1) @ q)},
    ),
    Control(
        "icl-meta-gradient",
        "keys and values are exchanged",
        {f"{DUAL}.in_context_update": lambda *case: in_context_update(*case).T},
    ),
    Control(
        "icl-meta-gradient",
        "the update is subtracted",
        {f"{DUAL}.in_context_update": lambda *case: -in_context_update(*case)},
    ),
    Control(
        "icl-meta-gradient",
        "the update is averaged over demonstrations",
        {f"{DUAL}.in_context_update": lambda head, shown: in_context_update(head, shown) / max(1, len(shown))},
    ),
    Control(
        "icl-softmax-breaks",
        "softmax is left in the linear attention",
        {f"{DUAL}.linear_head": dual_form.softmax_head},
    ),
    Control(
        "icl-softmax-breaks",
        "softmax is left out of the softmax attention",
        {f"{DUAL}.softmax_head": dual_form.linear_head},
    ),
    Control(
        "taylor-first-order",
        "the slope is doubled",
        {f"{LINEAR}.linearize": lambda f, start: features_of(f, start, lambda features: 2 * features)},
    ),
    Control(
        "taylor-first-order",
        "the expansion is taken beside the parameters",
        {f"{LINEAR}.linearize": lambda f, start: linearize(f, start + 1e-3)},
    ),
    Control(
        "taylor-first-order",
        "a term of second order is added",
        {f"{LINEAR}.linear_output": lambda model, d: model.value + model.features @ (d + d.square())},
    ),
    Control(
        "lin-step-features",
        "the step goes up the gradient",
        {f"{LINEAR}.coefficient_step": lambda m, d, loss, rate: coefficient_step(m, d, loss, -rate)},
    ),
    Control(
        "lin-step-features",
        "the slope of the loss is always taken at the start",
        {f"{LINEAR}.coefficient_step": lambda m, d, loss, rate: d + coefficient_step(m, 0 * d, loss, rate)},
    ),
    Control(
        "rec2ftp-def",
        "in-context learning and finetuning are exchanged",
        {f"{PREDICTIONS}.rec2ftp": computed(rec2ftp, lambda icl, ft, zero, gold: rec2ftp.values(ft, icl, zero, gold))},
    ),
    Control(
        "rec2ftp-def",
        "zero-shot successes are not subtracted",
        {
            f"{PREDICTIONS}.rec2ftp": computed(
                rec2ftp, lambda icl, ft, zero, gold: rec2ftp.values(icl, ft, gold + 1, gold)
            )
        },
    ),
    Control(
        "rec2ftp-def",
        "undefined is taken for zero",
        {f"{PREDICTIONS}.rec2ftp": computed(rec2ftp, lambda *case: np.nan_to_num(rec2ftp.values(*case)))},
    ),
    Control(
        "rpa-def",
        "the intersection is not subtracted from the denominator",
        {f"{PREDICTIONS}.rpa": computed(rpa, rpa_over_the_sum)},
    ),
    Control(
        "rpa-def",
        "only changes by finetuning count",
        {f"{PREDICTIONS}.rpa": computed(rpa, rpa_over_changes_by_finetuning)},
    ),
    Control(
        "rpa-def",
        "a query changed to two labels counts once",
        {f"{PREDICTIONS}.rpa": computed(rpa, lambda *case, **options: rpa.values(*case, **options)[:, :1])},
    ),
    Control(
        "rec-insufficient-in-principle",
        "RPA counts correct changes by finetuning only, as Rec2FTP does",
        {f"{PREDICTIONS}.rpa": computed(rpa, lambda icl, ft, zero, gold, **_: rec2ftp.values(icl, ft, zero, gold))},
    ),
    Control(
        "metric-aou-def",
        "states are not normalised",
        {f"{SIMILARITY}.sim_aou": computed(sim_aou, lambda *states, **_: sim_aou.values(*states, normalised=False))},
    ),
    Control(
        "metric-aou-def",
        "the zero-shot state is not subtracted",
        {f"{SIMILARITY}.sim_aou": computed(sim_aou, lambda icl, ft, zero, **_: sim_aou.values(icl, ft, 0 * zero))},
    ),
    Control(
        "metric-aou-def",
        "the output of another layer is recorded",
        {ANSWER: with_attention_outputs(lambda outputs: outputs.roll(1, dims=0))},
    ),
    Control(
        "metric-am-def",
        "one cosine over all heads together",
        {f"{SIMILARITY}.sim_am": computed(sim_am, heads_as_one)},
    ),
    Control(
        "metric-am-def",
        "softmax before the cosine",
        {
            f"{SIMILARITY}.sim_am": computed(
                sim_am, lambda icl, other: sim_am.values(icl.softmax(-1), other.softmax(-1))
            )
        },
    ),
    Control("metric-am-def", "scores are recorded after softmax", {ANSWER: with_softmaxed_scores}),
    Control(
        "sgd-concurrent",
        "the lowest layer is left out of the step",
        {f"{DESCENT}.sgd_step": one_layer_left_out},
    ),
    Control(
        "sgd-concurrent",
        "queries fused with keys and values move too",
        {f"{DESCENT}.sgd_step": queries_moved_too},
    ),
    Control(
        "sgd-concurrent",
        "every layer steps on a loss of its own",
        {f"{FINETUNING}.Finetuning.learn": layer_causal_in_place_of_finetuning},
    ),
    Control(
        "layer-causality-icl",
        "layers are counted from the top",
        {ANSWER: with_attention_outputs(lambda outputs: outputs.flip(0))},
    ),
    Control(
        "layer-causality-icl",
        "outputs are centred over all layers",
        {ANSWER: with_attention_outputs(lambda outputs: outputs - outputs.mean(dim=0))},
    ),
    Control(
        "no-layer-causality-ft",
        "finetuning is layer-causal",
        {f"{FINETUNING}.Finetuning.learn": layer_causal_in_place_of_finetuning},
    ),
    Control(
        "no-layer-causality-ft",
        "layer-causal finetuning lets gradients through",
        {f"{LAYER_CAUSAL}.block_losses": undetached_block_losses},
    ),
    Control(
        "lc-sequential-step",
        "the sequential step is the concurrent one",
        {f"{LAYER_CAUSAL}.LayerCausal._sequential_step": concurrent},
    ),
    Control(
        "lc-sequential-step",
        "the sequential step goes up the gradient",
        {f"{DESCENT}.sgd_step": lambda ps, ws, gs, rate: sgd_step(ps, ws, gs, -rate)},
    ),
    Control(
        "lc-detached",
        "the input of a block is not detached",
        {f"{LAYER_CAUSAL}.block_losses": undetached_block_losses},
    ),
    Control(
        "lc-detached",
        "losses belong to the blocks in reverse",
        {f"{LAYER_CAUSAL}.block_losses": lambda *case: block_losses(*case)[::-1]},
    ),
    Control(
        "lc-losses-summed",
        "the losses are averaged",
        {f"{LAYER_CAUSAL}.block_losses": lambda m, *case: [loss / m.layers for loss in block_losses(m, *case)]},
    ),
    Control(
        "lc-losses-summed",
        "only the last layer has a loss",
        {
            f"{LAYER_CAUSAL}.block_losses": lambda *case: (
                [0 * loss for loss in block_losses(*case)[:-1]] + block_losses(*case)[-1:]
            )
        },
    ),
    Control(
        "lc-losses-summed",
        "gradients cross layers",
        {f"{LAYER_CAUSAL}.block_losses": undetached_block_losses},
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_the_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
