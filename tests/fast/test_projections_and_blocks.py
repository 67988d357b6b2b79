"""What is tuned is what makes keys and values; the model itself is never changed; blocks are found where they are."""

from __future__ import annotations

import pytest
import torch

from icl_claims.methods import Clipping, Finetuning, InContext, LayerCausal, Linearized, SwitchedLabels, ZeroShot
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model
from icl_claims.tasks.prompts import Demonstrations

every_family = pytest.mark.parametrize("family", CONFIGURATIONS)
METHODS = (
    ZeroShot(),
    InContext(),
    Finetuning(0.1),
    Finetuning(0.1, "label_only"),
    LayerCausal(0.1),
    LayerCausal(0.1, "sequential"),
    LayerCausal(0.1, "sequential", clip=Clipping(norm="finetuning")),
    LayerCausal(0.1, clip=Clipping(0.1, "global_l2"), norm_matched=True),
    Linearized(0.01),
    SwitchedLabels(Finetuning(0.1), "cyclic"),
)
CONTEXT = [BOS, 4, 5, 6, EOS, 7, 8, 9, 10, EOS]
DEMONSTRATIONS = Demonstrations.from_rows(BOS, EOS, ((4, 5, 6), (7, 8, 9, 10)))


def untuned_part(tuned, value):
    return value[:0] if tuned.part is None else value[~tuned.part.expand_as(value)]


def moved(tuned, value):
    """The parameter with every tuned entry, and no other, changed a lot."""
    return value + 0.7 * tuned.only_tuned(torch.ones_like(value))


@every_family
def test_a_tuned_parameter_changes_keys_or_values_of_its_layer(family):
    model = random_model(family, 2, 0)
    pretrained = model.read_prefix(CONTEXT)
    for tuned in model.tuned_parameters:
        value = model.tuned_values()[tuned.name]
        changed = model.read_prefix(CONTEXT, {tuned.name: moved(tuned, value)})
        before, after = (prefix.keys + prefix.values for prefix in (pretrained, changed))
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert not (same[tuned.layer] and same[model.layers + tuned.layer])
        assert all(same[layer] and same[model.layers + layer] for layer in range(tuned.layer))


@every_family
def test_no_other_projection_of_a_layer_makes_its_keys_or_values(family):
    model = random_model(family, 1, 0)
    pretrained, tuned = model.read_prefix(CONTEXT), {tuned.name: tuned for tuned in model.tuned_parameters}
    inside = next(name for name, module in model.network.named_modules() if module is model.attention_modules[0])
    for name, value in model.network.named_parameters():
        if not name.startswith(f"{inside}.") or name.endswith("norm.weight"):
            continue
        others = torch.ones_like(value) - (tuned[name].only_tuned(torch.ones_like(value)) if name in tuned else 0)
        changed = model.read_prefix(CONTEXT, {name: value + 0.7 * others})
        assert torch.equal(pretrained.keys[0], changed.keys[0])
        assert torch.equal(pretrained.values[0], changed.values[0])


@pytest.mark.parametrize(
    ("family", "of_each_layer"), [("llama", 2), ("qwen2", 4), ("opt", 4), ("gpt2", 2), ("gpt_neox", 2)]
)
def test_weights_and_biases_are_tuned_lowest_layer_first(family, of_each_layer):
    layers = [tuned.layer for tuned in random_model(family, 3, 0).tuned_parameters]
    assert layers == sorted(layers)
    assert all(layers.count(layer) == of_each_layer for layer in range(3))


@pytest.mark.parametrize("method", METHODS[2:], ids=str)
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
def test_the_query_part_of_fused_projections_stays_bit_identical(family, method):
    model = random_model(family, 3, 0)
    learned, before = method.learn(model, DEMONSTRATIONS).weights, model.tuned_values()
    for tuned in model.tuned_parameters:
        untouched = untuned_part(tuned, before[tuned.name])
        assert untouched.numel() * 3 == before[tuned.name].numel()
        assert torch.equal(untuned_part(tuned, learned[tuned.name]), untouched)
        assert not torch.equal(learned[tuned.name], before[tuned.name])


@pytest.mark.parametrize("method", METHODS, ids=str)
@every_family
def test_learning_leaves_the_model_bit_identical(family, method):
    model = random_model(family, 2, 0)
    before = {name: value.clone() for name, value in model.network.named_parameters()}
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.network.modules())
    method.learn(model, DEMONSTRATIONS)
    after = dict(model.network.named_parameters())
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(value.requires_grad or value.grad is not None for value in after.values())
    assert hooks == sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.network.modules())


@every_family
def test_the_last_block_reads_as_the_models_logits(family):
    model, given = random_model(family, 3, 0), []
    keep = model.blocks.modules[-1].register_forward_hook(lambda _m, _i, output: given.append(output))
    logits = model.sequence_logits(CONTEXT)
    keep.remove()
    hidden = given[0][0] if isinstance(given[0], tuple) else given[0]
    torch.testing.assert_close(model.blocks.read(hidden)[0], logits)


@every_family
def test_there_is_one_block_around_each_attention_layer(family):
    model = random_model(family, 3, 0)
    assert len(model.blocks.modules) == len(model.blocks.names) == model.layers == 3
    for block, attention in zip(model.blocks.modules, model.attention_modules, strict=True):
        assert attention in set(block.modules())
