"""Random models are what their seed says, and any family runs through the shared attention as transformers runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from icl_claims.errors import ModelError
from icl_claims.models.families import FAMILIES
from icl_claims.models.random_models import (
    BOS,
    CONFIGURATIONS,
    FIRST_WORD,
    random_model,
    random_network,
)

WORDS = [FIRST_WORD + (7 * i) % 50 for i in range(9)]


def answer(model):
    return model.answer([WORDS], model.read_prefix([BOS]), answer_at=-1, probe_at=-1)


@pytest.mark.parametrize("family", sorted(CONFIGURATIONS))
@pytest.mark.usefixtures("each_kernel")
def test_logits_are_those_of_transformers_own_attention(family):
    plain = random_network(family, 2, 0).requires_grad_(False)
    expected = plain(torch.tensor([[BOS, *WORDS]]), use_cache=False).logits[0, -1]
    torch.testing.assert_close(answer(random_model(family, 2, 0)).logits[0], expected, rtol=1e-4, atol=1e-4)


def test_the_seed_decides_the_weights():
    one, same, other = (answer(random_model("gpt2", 1, seed)).logits for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_every_layer_and_every_parameter_is_drawn_on_its_own():
    network = random_network("opt", 2, 0)
    rows = [p.flatten()[:4] for p in network.parameters()]
    assert len({tuple(row.tolist()) for row in rows}) == len(rows)


def test_global_randomness_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    random_model("llama", 1, 0)
    assert torch.equal(torch.rand(3), expected)


def test_float64_is_kept():
    model = random_model("gpt2", 1, 0, torch.float64)
    assert model.sequence_logits([BOS, *WORDS]).dtype == torch.float64


def test_an_unknown_family_is_named():
    with pytest.raises(ModelError, match="Unknown family"):
        random_model("bert", 1, 0)


def test_the_readme_names_every_family():
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    assert [family.title for family in FAMILIES if family.title not in readme] == []
