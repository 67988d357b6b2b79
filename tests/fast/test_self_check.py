"""A network is accepted because it gives the same numbers here as by itself; what does more is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from icl_claims.errors import ModelError, PromptError
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import BOS, EOS, random_model, random_network
from icl_claims.models.tokens import TokenEncoder
from icl_claims.tasks import Demonstrations
from tests.slow.architectures import CONFIG_MAPPING, AutoModelForCausalLM, built, deviation_from_eager, fill_at_random

SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 6), (7, 8, 9, 10)))
SHAPE = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 64,
    "bos_token_id": BOS,
    "pad_token_id": 1,
    "eos_token_id": EOS,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "factor": 2.0,
    "short_factor": [1.0, 1.1],
    "long_factor": [2.0, 3.0],
    "original_max_position_embeddings": 32,
}


def model_of(network, name="tried"):
    return LanguageModel(network, TokenEncoder(None, BOS, EOS), name=name, digest="")


def network_of(kind, layers=2, **fields):
    config = CONFIG_MAPPING[kind](**{**SHAPE, "num_hidden_layers": layers, **fields})
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    fill_at_random(network, 0)
    return network


def refusal(network):
    with pytest.raises(ModelError) as raised:
        model_of(network)
    return str(raised.value)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("falcon_h1", "more than causal attention"),  # a state-space model beside attention in every block
        ("doge", "a mask of its own"),
        ("hrm_text", "24 calls by 6 modules"),
        ("glm4_moe_lite", "multi-head latent attention"),
        ("minicpm3", "multi-head latent attention"),
        ("gptj", "computes its own"),
        ("bloom", "computes its own"),
        ("mpt", "MptForCausalLM"),
        ("jamba", "computes its own"),
        ("lfm3", "such layers in 3 blocks"),
        ("whisper", "names no longest context"),
        ("marian", "more than causal attention"),  # positions cannot be given
    ],
)
def test_what_is_more_than_attention_is_refused(kind, why):
    text = refusal(built(kind))
    assert why in text
    assert kind == "whisper" or "docs/models.md" in text


def test_a_model_that_looks_ahead_is_refused():
    fields = {"sliding_window": 7, "use_bidirectional_attention": True}
    assert "sees tokens that come later" in refusal(network_of("gemma3_text", **fields))


@pytest.mark.parametrize(
    "kind",
    [
        "gemma2",
        "vaultgemma",
        "gpt_oss",
        "granite_swa",
        "mixtral",
        "qwen3_moe",
        "phimoe",
        "phi3",
        "gpt_bigcode",
        "persimmon",
        "roberta",
        "cohere2",
    ],
)
def test_more_families_are_right(kind):
    model = model_of(built(kind))
    assert deviation_from_eager(model) < 1e-4
    assert {tuned.layer for tuned in model.tuned_parameters} == set(range(model.layers))


@pytest.mark.parametrize(
    ("kind", "fields", "bound"),
    [
        ("llama4_text", {"attention_chunk_size": 8}, 8),
        ("mistral", {"sliding_window": 7}, 64),  # told by every layer, so our attention knows it
        ("llama", {"rope_parameters": LONGROPE}, 32),
    ],
)
def test_the_context_ends_where_the_model_changes(kind, fields, bound):
    model = model_of(network_of(kind, **fields))
    assert model.context_length == bound
    with pytest.raises(PromptError, match=f"at most {bound} tokens"):
        model.read_prefix([BOS] * (bound + 1))


def test_positions_may_start_behind_the_padding_token():
    model = model_of(built("roberta"))
    assert model.first_position == 2
    assert model.context_length == 62


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("llama", {}),
        ("granite", {"logits_scaling": 8.0}),
        ("cohere", {"logit_scale": 0.0625}),
        ("cohere2", {"logit_scale": 0.0625}),
        ("gemma2", {"final_logit_softcapping": 3.0, "attn_logit_softcapping": None}),
        ("gemma3_text", {"final_logit_softcapping": 3.0}),
        ("hyperclovax", {"logits_scaling": 8.0}),
    ],
)
def test_in_one_layer_layer_causal_is_standard(kind, fields):
    model = model_of(network_of(kind, layers=1, **fields))
    standard, layer_causal = (method.learn(model, SHOWN) for method in (Finetuning(0.1), LayerCausal(0.1)))
    assert standard.losses == pytest.approx(layer_causal.losses, rel=1e-4)
    for name, value in standard.weights.items():
        torch.testing.assert_close(layer_causal.weights[name], value, atol=1e-5, rtol=1e-4)


def test_an_output_projection_behind_the_norm_is_read_too():
    network = network_of("opt", ffn_dim=32, word_embed_proj_dim=8, do_layer_norm_before=False)
    model = model_of(network)
    seen = model.answer([[4, 5]], model.read_prefix([BOS]), answer_at=-1, probe_at=-1, blocks=True)
    torch.testing.assert_close(model.blocks.read(seen.block_outputs[-1]), seen.logits)


@pytest.mark.parametrize("kind", ["gemma2", "gpt_oss"])
def test_recorded_scores_are_those_of_eager_attention(kind):
    model, prompt = model_of(built(kind)), [5, 9, 4, 17, 3, 8]
    seen = model.answer([prompt], model.read_prefix([BOS]), answer_at=-1, probe_at=-1)
    model.network.set_attn_implementation("eager")
    weights = model.network(torch.tensor([[BOS, *prompt]]), output_attentions=True, use_cache=False).attentions
    for layer in range(model.layers):
        eager = weights[layer][0, :, -1, 1:].log()
        ours, alike = seen.scores[layer, :, 0], eager.isfinite()  # a window hides some
        differences = torch.where(alike, ours - eager, torch.nan)
        assert float((differences - differences.nanmean(-1, keepdim=True)).nan_to_num().abs().max()) < 1e-4


def test_two_models_of_one_network_do_not_disturb_each_other():
    network = random_network("llama", 3, 0)
    first = model_of(network)
    alone = Finetuning(0.1).learn(first, SHOWN).losses
    model_of(network)
    seen = first.answer([[4, 5]], first.read_prefix([BOS]), answer_at=-1, probe_at=-1)
    assert seen.attention_outputs.shape == (3, 1, 16)
    assert Finetuning(0.1).learn(first, SHOWN).losses == alone


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gemma3_text"])
def test_half_precision_is_measured_by_its_own_error(family, dtype):
    assert random_model(family, 3, 0, dtype).dtype is dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_joined_beside_attention_are_refused(dtype):
    network = random_network("llama", 2, 0).to(dtype)

    def leaky(module, _inputs, output):
        return output + 0.2 * output.cumsum(1)  # what joins tokens beside attention

    network.model.layers[0].mlp.register_forward_hook(leaky)
    assert "standard deviations" in refusal(network)


def test_checking_leaves_a_network_as_it_was():
    network = random_network("llama", 2, 0).to(torch.bfloat16)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    model_of(network)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert isinstance(network.get_submodule("lm_head"), nn.Linear)
