"""Negative controls of the claims of both papers: each broken variant refutes its claim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from icl_claims.methods import base, block_loss, finetuning, layer_causal
from icl_claims.metrics import predictions, similarity
from icl_claims.models.blocks import hidden_of
from icl_claims.theory import dual_form, linearization, meta_optimization
from tests.quality.controls import Control, verdict_under

DUAL = "icl_claims.theory.dual_form"
META = "icl_claims.theory.meta_optimization"
LINEAR = "icl_claims.theory.linearization"
PREDICTIONS = "icl_claims.metrics.predictions"
SIMILARITY = "icl_claims.metrics.similarity"
ANSWER = "icl_claims.methods.base.Learned.answer"
FINETUNING = "icl_claims.methods.finetuning"
LAYER_CAUSAL = "icl_claims.methods.layer_causal"

# The originals, which broken variants are made of.
error_signals, weight_change = dual_form.error_signals, dual_form.weight_change
in_context_update, linearize = meta_optimization.in_context_update, linearization.linearize
coefficient_step, answer = linearization.coefficient_step, base.Learned.answer
rec2ftp, rpa, sim_aou, sim_am = predictions.rec2ftp, predictions.rpa, similarity.sim_aou, similarity.sim_am
sgd_step, block_losses = finetuning.sgd_step, layer_causal.block_losses
layer_causal_learn, concurrent = layer_causal.LayerCausal.learn, layer_causal.LayerCausal._concurrent_step


def with_attention_outputs(change):
    def broken(learned, queries):
        said = answer(learned, queries)
        return base.Answer(said.log_probabilities, change(said.attention_outputs), said.scores)

    return broken


def with_softmaxed_scores(learned, queries):
    said = answer(learned, queries)
    return base.Answer(said.log_probabilities, said.attention_outputs, said.scores.softmax(-1))


def layer_causal_in_place_of_finetuning(method, model, demonstrations):
    return layer_causal_learn(layer_causal.LayerCausal(method.learning_rate), model, demonstrations)


def undetached_block_losses(model, weights, sequence, loss="all_tokens"):
    losses = []

    def read(_layer, _args, _kwargs, output):
        losses.append(block_loss.block_loss(model.blocks, hidden_of(output), sequence, loss))

    with model.blocks.around(after=read):
        model.sequence_logits(sequence, weights)
    return losses


def one_layer_left_out(parameters, weights, gradients, learning_rate):
    kept = [gradient if p.layer else 0 * gradient for p, gradient in zip(parameters, gradients, strict=True)]
    return sgd_step(parameters, weights, kept, learning_rate)


def queries_moved_too(parameters, weights, gradients, learning_rate):
    return {p.name: weights[p.name] - learning_rate * g for p, g in zip(parameters, gradients, strict=True)}


def heads_as_one(in_context, other):
    joined = [m.transpose(1, 2).flatten(2) for m in (in_context, other)]
    return cosine_similarity(*joined, dim=-1).T


def rpa_over_the_sum(in_context, finetuned, zero_shot, gold, **options):
    column = rpa(in_context, finetuned, zero_shot, gold, **options)
    return np.where(column == 1, 0.5, column)


def rpa_over_changes_by_finetuning(in_context, finetuned, zero_shot, gold, **options):
    return np.where((finetuned != zero_shot)[:, None], rpa(in_context, finetuned, zero_shot, gold, **options), np.nan)


def last_loss_only(*case):
    *lower, last = block_losses(*case)
    return [0 * loss for loss in lower] + [last]


def features_of(function, start, change):
    model = linearize(function, start)
    return linearization.LinearModel(model.value, change(model.features))


DUAL_FILE, META_FILE = "rethinking/test_2_1_dual_form.py", "rethinking/test_2_2_meta_optimization.py"
LINEAR_FILE, CAUSALITY_FILE = "rethinking/test_2_3_linearization.py", "rethinking/test_3_4_layer_causality.py"
SIMILARITY_FILE, RPA_FILE = "rethinking/test_3_2_metric_definitions.py", "rethinking/test_3_3_metric_definitions.py"
RECALL_FILE, PER_LAYER_FILE = "revisited/test_3_3_prediction_recall.py", "revisited/test_3_1_per_layer_training.py"

CONTROLS = [
    Control(
        "dual-delta-w",
        "error signals point up the gradient",
        DUAL_FILE,
        {f"{DUAL}.error_signals": lambda *case: -error_signals(*case)},
    ),
    Control(
        "dual-delta-w",
        "the last example is left out",
        DUAL_FILE,
        {f"{DUAL}.weight_change": lambda errors, inputs: weight_change(errors[:-1], inputs[:-1])},
    ),
    Control(
        "dual-delta-w",
        "the outer products are averaged",
        DUAL_FILE,
        {f"{DUAL}.weight_change": lambda errors, inputs: weight_change(errors, inputs) / max(1, len(inputs))},
    ),
    Control(
        "dual-linear-attn",
        "softmax is left in",
        DUAL_FILE,
        {f"{DUAL}.linear_attention": lambda values, keys, query: values.T @ torch.softmax(keys @ query, dim=0)},
    ),
    Control(
        "dual-linear-attn",
        "keys are scaled to unit length",
        DUAL_FILE,
        {f"{DUAL}.linear_attention": lambda v, k, q: v.T @ (torch.nn.functional.normalize(k, dim=-1) @ q)},
    ),
    Control(
        "icl-meta-gradient",
        "keys and values are exchanged",
        META_FILE,
        {f"{META}.in_context_update": lambda *case: in_context_update(*case).T},
    ),
    Control(
        "icl-meta-gradient",
        "the update is subtracted",
        META_FILE,
        {f"{META}.in_context_update": lambda *case: -in_context_update(*case)},
    ),
    Control(
        "icl-meta-gradient",
        "the update is averaged over demonstrations",
        META_FILE,
        {f"{META}.in_context_update": lambda head, shown: in_context_update(head, shown) / max(1, len(shown))},
    ),
    Control(
        "icl-softmax-breaks",
        "softmax is left in the linear attention",
        "rethinking/test_4_1_differences.py",
        {f"{META}.linear_head": meta_optimization.softmax_head},
    ),
    Control(
        "icl-softmax-breaks",
        "softmax is left out of the softmax attention",
        "rethinking/test_4_1_differences.py",
        {f"{META}.softmax_head": meta_optimization.linear_head},
    ),
    Control(
        "taylor-first-order",
        "the slope is doubled",
        LINEAR_FILE,
        {f"{LINEAR}.linearize": lambda f, start: features_of(f, start, lambda features: 2 * features)},
    ),
    Control(
        "taylor-first-order",
        "the expansion is taken beside the parameters",
        LINEAR_FILE,
        {f"{LINEAR}.linearize": lambda f, start: linearize(f, start + 1e-3)},
    ),
    Control(
        "taylor-first-order",
        "a term of second order is added",
        LINEAR_FILE,
        {f"{LINEAR}.linear_output": lambda model, d: model.value + model.features @ (d + d.square())},
    ),
    Control(
        "lin-step-features",
        "the step goes up the gradient",
        LINEAR_FILE,
        {f"{LINEAR}.coefficient_step": lambda m, d, loss, rate: coefficient_step(m, d, loss, -rate)},
    ),
    Control(
        "lin-step-features",
        "the slope of the loss is always taken at the start",
        LINEAR_FILE,
        {f"{LINEAR}.coefficient_step": lambda m, d, loss, rate: d + coefficient_step(m, 0 * d, loss, rate)},
    ),
    Control(
        "rec2ftp-def",
        "in-context learning and finetuning are exchanged",
        RECALL_FILE,
        {f"{PREDICTIONS}.rec2ftp": lambda icl, ft, zero, gold: rec2ftp(ft, icl, zero, gold)},
    ),
    Control(
        "rec2ftp-def",
        "zero-shot successes are not subtracted",
        RECALL_FILE,
        {f"{PREDICTIONS}.rec2ftp": lambda icl, ft, zero, gold: rec2ftp(icl, ft, gold + 1, gold)},
    ),
    Control(
        "rec2ftp-def",
        "undefined is taken for zero",
        RECALL_FILE,
        {f"{PREDICTIONS}.rec2ftp": lambda *case: np.nan_to_num(rec2ftp(*case))},
    ),
    Control(
        "rpa-def",
        "the intersection is not subtracted from the denominator",
        RPA_FILE,
        {f"{PREDICTIONS}.rpa": rpa_over_the_sum},
    ),
    Control(
        "rpa-def",
        "only changes by finetuning count",
        RPA_FILE,
        {f"{PREDICTIONS}.rpa": rpa_over_changes_by_finetuning},
    ),
    Control(
        "rpa-def",
        "a query changed to two labels counts once",
        RPA_FILE,
        {f"{PREDICTIONS}.rpa": lambda *case, **options: rpa(*case, **options)[:, :1]},
    ),
    Control(
        "rec-insufficient-in-principle",
        "RPA counts correct changes by finetuning only, as Rec2FTP does",
        RPA_FILE,
        {f"{PREDICTIONS}.rpa": lambda icl, ft, zero, gold, **_: rec2ftp(icl, ft, zero, gold)},
    ),
    Control(
        "metric-aou-def",
        "states are not normalised",
        SIMILARITY_FILE,
        {f"{SIMILARITY}.sim_aou": lambda *states, **_: sim_aou(*states, normalised=False)},
    ),
    Control(
        "metric-aou-def",
        "the zero-shot state is not subtracted",
        SIMILARITY_FILE,
        {f"{SIMILARITY}.sim_aou": lambda icl, ft, zero, **_: sim_aou(icl, ft, 0 * zero)},
    ),
    Control(
        "metric-aou-def",
        "the output of another layer is recorded",
        SIMILARITY_FILE,
        {ANSWER: with_attention_outputs(lambda outputs: outputs.roll(1, dims=0))},
    ),
    Control(
        "metric-am-def",
        "one cosine over all heads together",
        SIMILARITY_FILE,
        {f"{SIMILARITY}.sim_am": heads_as_one},
    ),
    Control(
        "metric-am-def",
        "softmax before the cosine",
        SIMILARITY_FILE,
        {f"{SIMILARITY}.sim_am": lambda icl, other: sim_am(icl.softmax(-1), other.softmax(-1))},
    ),
    Control("metric-am-def", "scores are recorded after softmax", SIMILARITY_FILE, {ANSWER: with_softmaxed_scores}),
    Control(
        "sgd-concurrent",
        "the lowest layer is left out of the step",
        CAUSALITY_FILE,
        {f"{FINETUNING}.sgd_step": one_layer_left_out},
    ),
    Control(
        "sgd-concurrent",
        "queries fused with keys and values move too",
        CAUSALITY_FILE,
        {f"{FINETUNING}.sgd_step": queries_moved_too},
    ),
    Control(
        "sgd-concurrent",
        "every layer steps on a loss of its own",
        CAUSALITY_FILE,
        {f"{FINETUNING}.Finetuning.learn": layer_causal_in_place_of_finetuning},
    ),
    Control(
        "layer-causality-icl",
        "layers are counted from the top",
        CAUSALITY_FILE,
        {ANSWER: with_attention_outputs(lambda outputs: outputs.flip(0))},
    ),
    Control(
        "layer-causality-icl",
        "outputs are centred over all layers",
        CAUSALITY_FILE,
        {ANSWER: with_attention_outputs(lambda outputs: outputs - outputs.mean(dim=0))},
    ),
    Control(
        "no-layer-causality-ft",
        "finetuning is layer-causal",
        CAUSALITY_FILE,
        {f"{FINETUNING}.Finetuning.learn": layer_causal_in_place_of_finetuning},
    ),
    Control(
        "no-layer-causality-ft",
        "layer-causal finetuning lets gradients through",
        CAUSALITY_FILE,
        {f"{LAYER_CAUSAL}.block_losses": undetached_block_losses},
    ),
    Control(
        "lc-sequential-step",
        "the sequential step is the concurrent one",
        CAUSALITY_FILE,
        {f"{LAYER_CAUSAL}.LayerCausal._sequential_step": concurrent},
    ),
    Control(
        "lc-sequential-step",
        "the sequential step goes up the gradient",
        CAUSALITY_FILE,
        {f"{LAYER_CAUSAL}.sgd_step": lambda ps, ws, gs, rate: sgd_step(ps, ws, gs, -rate)},
    ),
    Control(
        "lc-detached",
        "the input of a block is not detached",
        PER_LAYER_FILE,
        {f"{LAYER_CAUSAL}.block_losses": undetached_block_losses},
    ),
    Control(
        "lc-detached",
        "losses belong to the blocks in reverse",
        PER_LAYER_FILE,
        {f"{LAYER_CAUSAL}.block_losses": lambda *case: block_losses(*case)[::-1]},
    ),
    Control(
        "lc-losses-summed",
        "the losses are averaged",
        PER_LAYER_FILE,
        {f"{LAYER_CAUSAL}.block_losses": lambda m, *case: [loss / m.layers for loss in block_losses(m, *case)]},
    ),
    Control(
        "lc-losses-summed",
        "only the last layer has a loss",
        PER_LAYER_FILE,
        {
            f"{LAYER_CAUSAL}.block_losses": lambda *case: (
                [0 * loss for loss in block_losses(*case)[:-1]] + block_losses(*case)[-1:]
            )
        },
    ),
    Control(
        "lc-losses-summed",
        "gradients cross layers",
        PER_LAYER_FILE,
        {f"{LAYER_CAUSAL}.block_losses": undetached_block_losses},
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_the_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
