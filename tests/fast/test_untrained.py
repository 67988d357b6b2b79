"""An untrained model has the trained one's shape and as much of its weights as it is told to keep."""

from __future__ import annotations

import pytest
import torch

from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.methods import Finetuning, InContext, ZeroShot
from icl_claims.models.loading import load_fairseq
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model, untrained
from icl_claims.models.reference import load_model, spread
from icl_claims.models.tokens import PAD
from icl_claims.tasks.prompts import Demonstrations, Queries

KEEP = ("nothing", "embeddings_norms_head", "norms")
SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 30), (7, 8, 9, 31)))
QUERIES = Queries(((20, 21, 22, 30), (23, 24, 25, 26, 30)), (30, 31), -2, -1)
every_family = pytest.mark.parametrize("family", CONFIGURATIONS)
every_keep = pytest.mark.parametrize("keep", KEEP)


def weights(model):
    return dict(model.network.named_parameters())


def norms(model):
    """Names of the parameters of norms, which are the only ones with `norm` or `ln_` in their names."""
    return {name for name in weights(model) if "norm" in name or "ln_" in name}


@every_family
@every_keep
def test_shapes_stay_and_weights_of_blocks_do_not(family, keep):
    trained = random_model(family, 2, 0)
    made = untrained(trained, keep, 3)
    before, after = weights(trained), weights(made)
    assert {n: value.shape for n, value in after.items()} == {n: value.shape for n, value in before.items()}
    blocks = {name for name in before if name.startswith(trained.blocks.names)} - norms(trained)
    assert blocks
    assert not any(torch.equal(before[name], after[name]) for name in blocks)
    outside = set(before) - blocks - norms(trained)
    kept = {"nothing": set(), "norms": norms(trained), "embeddings_norms_head": norms(trained) | outside}[keep]
    assert {name for name in before if torch.equal(before[name], after[name])} == kept


@every_family
def test_the_trained_model_stays_as_it_was(family):
    trained = random_model(family, 2, 0)
    before = {name: value.clone() for name, value in weights(trained).items()}
    made = untrained(trained, "embeddings_norms_head", 3)
    made.network.get_output_embeddings().weight.data.zero_()
    assert all(torch.equal(before[name], value) for name, value in weights(trained).items())
    assert trained.network.training is made.network.training is False


@every_family
@every_keep
def test_a_head_that_is_the_embedding_still_is(family, keep):
    trained = random_model(family, 2, 0)
    heads = [
        model.network.get_output_embeddings().weight is model.network.get_input_embeddings().weight
        for model in (trained, untrained(trained, keep, 3))
    ]
    assert heads[0] == heads[1]


def test_weights_follow_from_the_seed_alone():
    trained = random_model("llama", 2, 0)
    torch.manual_seed(17)
    state = torch.get_rng_state()
    one = weights(untrained(trained, "nothing", 3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    same, other = (weights(untrained(trained, "nothing", seed)) for seed in (3, 4))
    assert all(torch.equal(one[name], value) for name, value in same.items())
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])


def test_weights_are_as_the_networks_own_initialiser_draws_them():
    made = untrained(random_model("opt", 2, 0), "nothing", 3)
    drawn = weights(made)
    matrices = torch.cat([value.flatten() for name, value in drawn.items() if "proj.weight" in name])
    assert matrices.std().item() == pytest.approx(made.config.init_std, rel=0.1)
    assert not any(value.any() for name, value in drawn.items() if name.endswith("bias"))


def test_digest_and_name_say_what_it_is():
    trained = random_model("llama", 2, 0)
    made = [untrained(trained, keep, seed) for keep in KEEP for seed in (3, 4)]
    assert len({model.digest for model in (trained, *made)}) == 7
    assert untrained(trained, "norms", 3).digest == untrained(trained, "norms", 3).digest
    assert (
        untrained(trained, "embeddings_norms_head", 3).name
        == f"{trained.name}, untrained (embeddings, norms, head kept)"
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_only_parameters_are(dtype):
    made = untrained(random_model("llama", 2, 0, dtype), "norms", 3)
    assert {value.dtype for value in weights(made).values()} == {dtype}
    assert {buffer.dtype for buffer in made.network.buffers()} == {torch.float32}


@every_family
@every_keep
def test_it_learns_and_answers(family, keep):
    made = untrained(random_model(family, 2, 0), keep, 3)
    for method in (ZeroShot(), InContext(), Finetuning(0.1)):
        assert method.learn(made, SHOWN).answer(QUERIES).log_probabilities.isfinite().all()


@pytest.mark.parametrize(
    "load", [lambda: load_model("tiny", device="cpu"), lambda: _fairseq()], ids=["tiny", "fairseq"]
)
def test_models_from_files_can_be_untrained(load):
    trained = load()
    made = untrained(trained, "embeddings_norms_head", 3)
    rows = [[4, 5, 6]]
    logits = [m.answer(rows, m.read_prefix([BOS]), answer_at=-1, probe_at=-1).logits for m in (trained, made)]
    assert logits[0].shape == logits[1].shape
    assert not torch.allclose(*logits)


def _fairseq():
    folder = fixtures_folder() / "fairseq"
    return load_fairseq(folder, name="fairseq", device=torch.device("cpu"), dtype=torch.float32)


@every_keep
def test_no_tensor_is_left_on_another_device(keep):
    model = untrained(random_model("llama", 2, 0), keep, 3)
    model.network.to("meta")
    answer = Finetuning(0.1).learn(model, SHOWN).answer(QUERIES)
    assert answer.log_probabilities.is_meta


def test_a_model_that_is_spread_is_spread_again():
    trained = spread(random_model("llama", 2, 0))
    trained.network.hf_device_map = {"": "cpu"}
    made = untrained(trained, "nothing", 3)
    assert made.device.type == "cpu"
    assert ZeroShot().learn(made, SHOWN).answer(QUERIES).log_probabilities.isfinite().all()


@every_keep
def test_a_fairseq_model_is_drawn_as_fairseq_draws(keep):
    trained = load_model(f"fairseq:{fixtures_folder() / 'fairseq'}")
    hidden, inner = trained.config.hidden_size, trained.config.ffn_dim
    drawn = [weights(untrained(trained, keep, seed)) for seed in range(8)]

    def largest(part):
        """The largest entry, and the spread, of all tensors of a name."""
        entries = torch.cat([value.flatten() for of in drawn for name, value in of.items() if name.endswith(part)])
        return entries.abs().max().item(), entries.std().item()

    bounds = {f"self_attn.{name}_proj.weight": (3 / 2 / hidden) ** 0.5 for name in "qkv"}
    bounds |= {"out_proj.weight": (3 / hidden) ** 0.5, "fc1.weight": hidden**-0.5, "fc2.weight": inner**-0.5}
    bounds |= {f"self_attn.{name}_proj.bias": hidden**-0.5 for name in "qkv"}
    bounds |= {"fc1.bias": hidden**-0.5, "fc2.bias": inner**-0.5, "out_proj.bias": 0.0}
    for part, bound in bounds.items():  # uniform up to a bound
        assert largest(part) == pytest.approx((bound, bound / 3**0.5), rel=0.05), part
    before, one = weights(trained), drawn[0]
    positions, embeddings, head = (
        f"{name}.weight" for name in ("model.decoder.embed_positions", "model.decoder.embed_tokens", "lm_head")
    )
    assert torch.equal(one[positions], before[positions])
    assert torch.equal(one[embeddings], one[head] * hidden**0.5)
    if keep != "embeddings_norms_head":
        assert largest("lm_head.weight")[1] == pytest.approx(hidden**-0.5, rel=0.05)
        assert not one[head][PAD].any()
