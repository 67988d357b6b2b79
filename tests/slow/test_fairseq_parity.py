"""Our numbers are those of the authors' own code, on a tiny fairseq model and the real CB.

The folder that ICL_CLAIMS_PARITY names holds model.pt (layout `args`), model_cfg.pt (layout `cfg`), dict.txt and
cb.json, what that code answered; GPT-2's BPE files lie there too, or in ICL_CLAIMS_BPE; the tasks in
ICL_CLAIMS_TEST_DATA. Activations are compared relative to their size (L2): single precision leaves the seventh digit to
the order of additions, and fairseq itself gives other ones on another machine.
"""

from __future__ import annotations

import json
import math
import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from icl_claims.errors import ModelError
from icl_claims.methods import Finetuning, InContext, LayerCausal, ZeroShot
from icl_claims.metrics import rec2ftp, sim_am, sim_am_update, sim_aou
from icl_claims.models.reference import load_model
from icl_claims.models.tokens import find_bpe_files, read_fairseq_tokens
from icl_claims.tasks.catalogue import known_task
from icl_claims.tasks.examples import Draw, orders, read_task
from icl_claims.tasks.prompts import build_prompts
from tests.slow.gradient_diagnostics import accumulated_block_gradient_norms

CONTEXT = 2048
TOLERANCE = {"zs": 2e-6, "icl": 2e-6, "ft": 5e-5, "per_layer": 5e-5}
METRIC, LOSS, CHANGE, NORM = 1e-5, 1e-3, 2e-5, 2e-5
METHODS = {"ft": Finetuning(0.01), "per_layer": LayerCausal(0.01, update="concurrent")}
SETTINGS = {"zs": ZeroShot(), "icl": InContext(), **METHODS}


def folder_of(variable: str, what: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no folder of {what}")
    return Path(os.environ[variable])


@pytest.fixture(scope="module")
def parity():
    return folder_of("ICL_CLAIMS_PARITY", "a model and what the authors' code answers with it")


@pytest.fixture(scope="module")
def told(parity):
    return json.loads((parity / "cb.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["model.pt", "model_cfg.pt"])
def fairseq(request, parity, tmp_path_factory):
    """A fairseq folder with the checkpoint of one layout."""
    try:
        bpe = find_bpe_files(parity)
    except ModelError:
        bpe = find_bpe_files(folder_of("ICL_CLAIMS_BPE", "GPT-2's encoder.json and vocab.bpe"))
    folder = tmp_path_factory.mktemp("fairseq")
    for path in (*bpe, parity / "dict.txt"):
        (folder / path.name).symlink_to(path.absolute())
    (folder / "model.pt").symlink_to((parity / request.param).absolute())
    return folder


@pytest.fixture(scope="module")
def model(fairseq):
    return load_model(f"fairseq:{fairseq}", device="cpu")


def prompts_of(task, tokens, k, seed, permutation, queries=None):
    data = read_task(known_task(task), folder_of("ICL_CLAIMS_TEST_DATA", "the real tasks"))
    return build_prompts(data, tokens, Draw(k, seed, permutation, queries), context_length=CONTEXT)


@pytest.fixture(scope="module")
def prompts(model, told):
    return prompts_of("cb", model.tokens, told["k"], told["seed"], told["perm"], told["n_queries"])


@pytest.fixture(scope="module")
def learned(model, prompts):
    return {name: method.learn(model, prompts.demonstrations) for name, method in SETTINGS.items()}


@pytest.fixture(scope="module")
def answers(learned, prompts):
    return {name: method.answer(prompts.queries) for name, method in learned.items()}


def test_the_model_has_the_context_and_types_of_its_checkpoint(model, told):
    assert (model.context_length, model.config.vocab_size) == (CONTEXT, told["dict_len"])


def test_demonstrations_and_queries_are_the_same_rows(prompts, told):
    assert list(prompts.demonstration_rows) == told["demo_rows"]
    assert list(prompts.query_rows) == told["query_rows"]
    assert list(prompts.gold) == told["gold"]


def test_token_ids_are_the_same(prompts, told):
    assert list(prompts.demonstrations.context) == told["icl_context_tokens"]
    assert [[prompts.bos, *row] for row in prompts.queries.rows] == told["query_tokens_zs_all_option0"]
    assert [list(sequence) for sequence in prompts.demonstrations.sequences] == told["ft_tokens_in_training_order"]
    last_of_options = [options[-1] for options in told["query_tokens_zs_first3_all_options"][0]]
    assert list(prompts.queries.label_ids) == last_of_options


@pytest.mark.parametrize("setting", SETTINGS)
def test_label_log_probabilities_and_predictions_are_the_same(answers, told, setting):
    ours, theirs = answers[setting].log_probabilities, told["settings"][setting]
    assert apart(ours, theirs["label_logprobs"]) < TOLERANCE[setting]
    assert ours.argmax(-1).tolist() == theirs["pred"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_activations_of_the_first_queries_are_the_same(answers, told, setting):
    for query, theirs in enumerate(told["settings"][setting]["first3"]):
        scores, wanted = answers[setting].scores[:, :, query], np.array(theirs["attn_map"])
        outputs = answers[setting].attention_outputs[:, query]
        assert apart(outputs, theirs["self_attn_out_hiddens"]) < TOLERANCE[setting]
        assert apart(scores[..., : wanted.shape[-1]], wanted) < TOLERANCE[setting]
        assert not scores[..., wanted.shape[-1] :].any()


def apart(ours, theirs) -> float:
    """How far two arrays are apart, relative to their size."""
    wanted = np.array(theirs)
    assert tuple(ours.shape) == wanted.shape
    return float(np.linalg.norm(ours.double().numpy() - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("setting", METHODS)
def test_losses_of_every_step_are_the_same(learned, told, setting):
    theirs = told["finetune"][setting]
    in_bits = np.array(learned[setting].losses) / math.log(2)
    np.testing.assert_allclose(in_bits, theirs["logged_loss_bits"], rtol=0, atol=LOSS)


@pytest.mark.parametrize("setting", METHODS)
def test_key_and_value_gradients_have_the_same_norms(learned, told, setting):
    theirs = [
        [sum(norm**2 for name, norm in of_step.items() if name.startswith(f"L{layer}.")) ** 0.5 for layer in range(4)]
        for of_step in told["finetune"][setting]["kv_grad_norms_per_step"]
    ]
    ours = learned[setting].gradient_norms
    np.testing.assert_allclose(ours, theirs, rtol=NORM)
    overall = told["finetune"][setting]["kv_global_grad_norm_preclip"]
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), overall, rtol=NORM)


@pytest.mark.parametrize("setting", METHODS)
def test_the_norms_that_were_logged_are_of_gradients_that_add_up(model, prompts, told, setting):
    layer_causal = setting == "per_layer"
    ours = accumulated_block_gradient_norms(model, prompts.demonstrations, 0.01, layer_causal=layer_causal)
    theirs = told["finetune"][setting]["decoder_layer_grad_norm_as_logged"]
    np.testing.assert_allclose(ours, theirs, rtol=NORM)


@pytest.mark.parametrize("setting", METHODS)
def test_predictions_are_corrected_as_often(answers, told, setting):
    theirs, gold = told["metrics"][setting], np.array(told["gold"])
    zero_shot, in_context, tuned = (
        answers[name].log_probabilities.argmax(-1).numpy() for name in ("zs", "icl", setting)
    )
    counts = theirs["f2t_counts"]
    corrected = {
        name: (zero_shot != gold) & (predicted == gold) for name, predicted in (("icl", in_context), ("ft", tuned))
    }
    assert corrected["icl"].sum() == counts["number of ICL F2T examples"]
    assert corrected["ft"].sum() == counts["number of FTZS F2T examples"]
    assert (corrected["icl"] & corrected["ft"]).sum() == counts["number of both F2T examples"]
    column = rec2ftp.values(in_context, tuned, zero_shot, gold)
    if theirs["Rec2FTP"] is None:
        assert np.isnan(column).all()
    else:
        assert np.nanmean(column) == theirs["Rec2FTP"] / 100


@pytest.mark.parametrize("setting", METHODS)
def test_weights_change_by_as_much_in_the_same_direction(model, learned, told, setting):
    theirs = told["finetune"][setting]
    before, after = model.tuned_values(), learned[setting].weights
    for name, size in theirs["changed_tensors_delta_norm"].items():
        change = after[f"model.{name}"] - before[f"model.{name}"]
        assert float(change.norm()) == pytest.approx(size, abs=CHANGE)
    biases = [f"model.decoder.layers.{layer}.self_attn.v_proj.bias" for layer in range(model.layers)]
    changes = torch.stack([after[name] - before[name] for name in biases])
    np.testing.assert_allclose(changes, theirs["final_v_proj_bias_delta"], rtol=0, atol=CHANGE)


@pytest.mark.parametrize("setting", METHODS)
def test_metrics_of_every_layer_are_the_same(answers, told, setting):
    icl, zero_shot, tuned = answers["icl"], answers["zs"], answers[setting]
    outputs = [answer.attention_outputs for answer in (icl, tuned, zero_shot)]
    ours = {
        "DAI_SimAOU": sim_aou.values(*outputs),
        "DAI_SimAM_direct": sim_am.values(icl.scores, tuned.scores),
        "DAI_ZSL_SimAM": sim_am.values(icl.scores, zero_shot.scores),
        "HEAD_SimAM_update": sim_am_update.values(icl.scores, tuned.scores, zero_shot.scores),
    }
    for name, by_query in ours.items():
        theirs = told["metrics"][setting][name]
        np.testing.assert_allclose(by_query.mean(0), theirs, rtol=0, atol=METRIC, err_msg=name)


@pytest.mark.parametrize("run", ["cb_3_0", "cb_4_1", "cb_5_2", "sst5_5_0", "sst5_6_1", "sst5_7_2"])
def test_the_same_32_demonstrations_are_shown_in_the_same_order(fairseq, told, run):
    theirs, k = told["k32_order"][run], 32
    task, seed, permutation = run.split("_")[0], *map(int, run.split("_")[1:])
    tokens, _ = read_fairseq_tokens(fairseq)
    prompts = prompts_of(task, tokens, k, seed, permutation)
    sequences, shown = prompts.demonstrations.sequences, theirs["icl_demos_as_index_into_FT_order"]
    context = chain([tokens.bos], *((*sequences[i][1:], tokens.separator) for i in shown))
    assert prompts.demonstrations.context == tuple(context)
    assert (prompts.demonstrations.shown, len(prompts.demonstrations.context)) == (len(shown), theirs["ctx_len"])
    assert [len(sequence) - 1 for sequence in sequences] == theirs["ft_loss_tokens"]
    as_drawn = [prompts.demonstration_rows[orders(k, seed, permutation)[1].index(i)] for i in range(k)]
    assert as_drawn[: len(theirs["rows"])] == theirs["rows"]
    longest_query = max(1 + len(row) for row in prompts.queries.rows)
    assert f"max valid len is {longest_query}" in theirs["note"][0]
