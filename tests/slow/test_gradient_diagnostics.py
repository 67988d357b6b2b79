"""The norms that the authors logged add up over demonstrations; at the first they are those of a block's gradient."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.loading import load_fairseq
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model, random_network
from icl_claims.tasks.prompts import Demonstrations
from tests.slow.gradient_diagnostics import accumulated_block_gradient_norms

SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 6), (7, 8, 9, 10), (11, 12, 13)))
every_family = pytest.mark.parametrize("family", CONFIGURATIONS)


def untuned_and_tuned(family, sequence):
    """Squared norms by block: of the summed loss's gradient in what is not tuned, of the mean loss's in the rest."""
    model, network = random_model(family, 3, 0), random_network(family, 3, 0)
    ids = torch.tensor(sequence)
    cross_entropy(network(ids[None], use_cache=False).logits[0, :-1], ids[1:], reduction="sum").backward()
    tuned = {p.name: p for p in model.tuned_parameters}
    squares = np.zeros((2, 3))
    for name, parameter in network.named_parameters():
        for layer, block in enumerate(model.blocks.names):
            if name.startswith(f"{block}."):
                of_tuned = tuned[name].only_tuned(parameter.grad) if name in tuned else torch.zeros(())
                squares[0, layer] += float((parameter.grad - of_tuned).square().sum())
                squares[1, layer] += float(of_tuned.square().sum()) / (len(sequence) - 1) ** 2
    return squares


@every_family
def test_the_first_step_is_the_gradient_of_a_whole_block(family):
    norms = accumulated_block_gradient_norms(random_model(family, 3, 0), SHOWN, 0.1)
    np.testing.assert_allclose(norms[0], np.sqrt(untuned_and_tuned(family, SHOWN.sequences[0]).sum(axis=0)), rtol=1e-3)


@every_family
def test_the_same_demonstration_again_and_again_makes_them_rise(family):
    repeated = replace(SHOWN, learning_order=(0,) * 4)
    norms = accumulated_block_gradient_norms(random_model(family, 3, 0), repeated, 0.0)
    untuned, tuned = untuned_and_tuned(family, SHOWN.sequences[0])
    for step in range(4):
        np.testing.assert_allclose(norms[step], np.sqrt((step + 1) ** 2 * untuned + tuned), rtol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_last_block_is_the_same_in_both_kinds_of_finetuning(family):
    model, one = random_model(family, 3, 0), replace(SHOWN, learning_order=(1,))
    plain, layer_causal = (accumulated_block_gradient_norms(model, one, 0.1, layer_causal=lc) for lc in (False, True))
    assert plain[0, 2] == pytest.approx(layer_causal[0, 2], rel=1e-4)
    assert plain[0, 0] != pytest.approx(layer_causal[0, 0], rel=1e-2)


@pytest.mark.parametrize("layer_causal", [False, True])
def test_the_model_stays_as_it_was(layer_causal):
    model = random_model("llama", 2, 0)
    before = {name: value.clone() for name, value in model.network.named_parameters()}
    accumulated_block_gradient_norms(model, SHOWN, 0.1, layer_causal=layer_causal)
    after = dict(model.network.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(value.requires_grad or value.grad is not None for value in after.values())


@pytest.mark.parametrize("layer_causal", [False, True])
def test_no_tensor_is_left_on_another_device(layer_causal):
    model = random_model("llama", 2, 0)
    model.network.to("meta")
    norms = accumulated_block_gradient_norms(model, SHOWN, 0.1, layer_causal=layer_causal)
    assert norms.shape == (3, 2)


@pytest.mark.parametrize("method", ["finetuning", "layer_causal"])
def test_they_add_up_as_in_a_decoder_of_plain_pytorch(method):
    folder = fixtures_folder() / "fairseq"
    told = json.loads((folder / "finetuning.json").read_text(encoding="utf-8"))
    shown = Demonstrations.from_rows(0, 2, [row[1:] for row in told["demonstrations"]])
    model = load_fairseq(folder, name="fairseq", device=torch.device("cpu"), dtype=torch.float32)
    norms = accumulated_block_gradient_norms(model, shown, told["learning_rate"], layer_causal=method == "layer_causal")
    np.testing.assert_allclose(norms, told["methods"][method]["accumulated_block_gradient_norms"], rtol=1e-4)
