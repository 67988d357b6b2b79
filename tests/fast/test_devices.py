"""Every method keeps to its device and dtype, on one device or several, and goes on with less where memory runs out."""

from __future__ import annotations

import builtins
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch._functorch import config as functorch_config
from torch._subclasses.fake_tensor import FakeTensorMode

from icl_claims.errors import ModelError
from icl_claims.experiments.batches import in_batches
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import Clipping, Finetuning, InContext, LayerCausal, Linearized, ZeroShot
from icl_claims.methods.descent import gradients_of, masters, sgd_step, trainable
from icl_claims.methods.linearized import LearnedLinearly
from icl_claims.models import blocks
from icl_claims.models.blocks import TunedParameter
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.layout import Layout
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model
from icl_claims.models.reference import dispatch, find_device, load_model, spread
from icl_claims.protocol import Protocol
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData
from icl_claims.tasks.prompts import Demonstrations, Queries

SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 6), (7, 8, 9, 10), (11, 12, 13)))
QUERIES = Queries(((20, 21, 22), (23, 24, 25, 26)), (30, 31), -2, -1)
METHODS = {
    "zero_shot": ZeroShot(),
    "in_context": InContext(),
    "finetuning": Finetuning(0.1),
    "label_only": Finetuning(0.1, "label_only"),
    "concurrent": LayerCausal(0.1),
    "sequential": LayerCausal(0.1, "sequential"),
    "clipped": LayerCausal(0.1, clip=Clipping(0.5, "global_l2")),
    "clipped_by_layer": LayerCausal(0.1, "sequential", clip=Clipping(norm="finetuning")),
    "norm_matched": LayerCausal(0.1, norm_matched=True),
    "linearized": Linearized(0.01),
}
every_family = pytest.mark.parametrize("family", sorted(CONFIGURATIONS))
VARIANTS = ("clipped", "clipped_by_layer", "norm_matched")  # which need no more than two architectures
every_method_and_family = pytest.mark.parametrize(
    ("method", "family"),
    [
        pytest.param(method, family, id=f"{name}-{family}")
        for name, method in METHODS.items()
        for family in (("gpt2", "llama") if name in VARIANTS else sorted(CONFIGURATIONS))
    ],
)


def without_numbers(model: LanguageModel) -> LanguageModel:
    model.network.to("meta")
    return model


def tensors_of(answer) -> tuple[torch.Tensor, ...]:
    return tuple(value for value in vars(answer).values() if isinstance(value, torch.Tensor))


def inside(learned):
    """All that an answer holds of what went on inside; a first-order expansion has no attention to demonstrations."""
    training = None if isinstance(learned, LearnedLinearly) else learned.training_tokens(SHOWN)
    return learned.answer(QUERIES, lens=True, training=training)


# Without values


@every_method_and_family
def test_learning_and_answering_stay_on_one_device(family, method):
    model = without_numbers(random_model(family, 2, 0))
    learned = method.learn(model, SHOWN)
    answer = inside(learned)
    held = (*tensors_of(answer), *learned.prefix.keys, *learned.weights.values())
    assert all(tensor.is_meta for tensor in held)
    assert answer.log_probabilities.shape == (2, 2)


def test_a_tensor_that_is_left_on_the_cpu_is_caught(monkeypatch):
    model = without_numbers(random_model("llama", 2, 0))
    cpu = Layout((4,), torch.device("cpu"))
    monkeypatch.setattr(Layout, "column", property(lambda _self: torch.arange(cpu.tokens)))
    with pytest.raises(RuntimeError, match="device"):
        model.read_prefix([BOS, 4, 5, 6])


def test_looking_at_values_is_for_tensors_that_have_some():
    meta = torch.empty((), device="meta")
    assert blocks.as_float(torch.tensor(1.5)) == 1.5
    assert blocks.as_float(meta) == 0.0
    assert blocks.all_finite(meta)
    assert not blocks.all_finite(torch.tensor([1.0, torch.nan]))


# In half precision


@every_method_and_family
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.3), (torch.float16, 0.05)])
def test_half_precision_is_finite_and_close_to_float32(family, method, dtype, tolerance):
    half, full = (inside(method.learn(random_model(family, 2, 0, kind), SHOWN)) for kind in (dtype, torch.float32))
    for got, wanted in zip(tensors_of(half), tensors_of(full), strict=True):
        assert got.isfinite().all()
        if wanted.is_floating_point():
            assert (got.float() - wanted).norm() < tolerance * wanted.norm()
        else:  # the likeliest tokens, of which near ties may change places
            others = (got[:, :, None] != wanted[:, None, :]).all(dim=2).sum(dim=1)
            assert (others <= 1 + 10 * tolerance).all()
    torch.testing.assert_close(half.log_probabilities, full.log_probabilities, atol=tolerance, rtol=0)


@pytest.mark.parametrize("method", ["finetuning", "concurrent", "sequential"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_steps_too_small_for_half_precision_add_up_in_float32(method, dtype):
    learn = METHODS[method].__class__
    rate = 2e-4  # a single step moves few weights in bfloat16 by as much as their last digit
    many = replace(SHOWN, learning_order=(0,) * 40)
    half, full = (random_model("llama", 2, 0, kind) for kind in (dtype, torch.float32))
    moved, wanted = (
        torch.cat([(value.float() - model.tuned_values()[name].float()).flatten() for name, value in weights.items()])
        for model, weights in ((model, learn(rate).learn(model, many).weights) for model in (half, full))
    )
    assert torch.cosine_similarity(moved, wanted, dim=0) > 0.5
    assert 0.7 < moved.norm() / wanted.norm() < 1.5


@pytest.mark.parametrize("method", ["finetuning", "concurrent", "sequential"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_was_learned_in_half_precision_is_kept_in_it(method, dtype):
    learned = METHODS[method].learn(random_model("opt", 2, 0, dtype), SHOWN)
    assert {value.dtype for value in learned.weights.values()} == {dtype}


def test_masters_are_float32_copies_of_half_precision_only():
    given = {str(kind): torch.ones(2, dtype=kind) for kind in (torch.float16, torch.bfloat16, torch.float64)}
    assert [value.dtype for value in masters(given).values()] == [torch.float32, torch.float32, torch.float64]
    single = torch.ones(2)
    assert masters({"w": single})["w"] is single


def test_a_master_takes_steps_that_its_rounding_would_lose():
    weights = masters({"w": torch.ones(1, dtype=torch.bfloat16)})
    for _ in range(10):
        weights = sgd_step([TunedParameter("w", 0)], weights, [torch.ones(1)], 1e-3)
    assert weights["w"].item() == pytest.approx(0.99)
    assert torch.ones(1, dtype=torch.bfloat16).sub(1e-3).item() == 1.0


def test_gradients_that_float16_would_lose_are_kept():
    leaf = trainable({"w": torch.ones(1)})["w"]

    def loss():
        return (leaf.to(torch.float16) * torch.tensor([2.0**-20], dtype=torch.float16)).float().sum() * 2.0**-7

    assert torch.autograd.grad(loss(), leaf)[0].item() == 0.0
    assert gradients_of(loss(), [leaf], torch.float16)[0].item() == pytest.approx(2.0**-27, rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_full_precision_nothing_is_rounded_or_scaled(dtype):
    model = random_model("llama", 2, 0, dtype)
    tuned = model.tuned_values()
    assert all(model.as_parameters(tuned)[name] is value for name, value in tuned.items())


# On several devices


def two_halves(model: LanguageModel, first: str, second: str) -> dict[str, str]:
    """The lower half of the blocks on one device; the upper half and the head on another."""
    stack = model.blocks.names[0].rpartition(".")[0]
    decoder = stack.rpartition(".")[0]
    places = {}
    for name, _ in model.network.named_children():
        if decoder.split(".")[0] != name:
            places[name] = second
    for name, _ in model.network.get_submodule(decoder).named_children():
        if f"{decoder}.{name}" != stack:
            places[f"{decoder}.{name}"] = first
    half = model.layers // 2
    return {**places, **{name: first if i < half else second for i, name in enumerate(model.blocks.names)}}


def without_values(model: LanguageModel, mode: FakeTensorMode) -> None:
    """Put tensors of no values in the place of parameters; of these, two of different devices refuse to meet."""
    for module in model.network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(mode.from_tensor(parameter.data), requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = mode.from_tensor(buffer)


@pytest.fixture
def pretended_devices(monkeypatch):
    """CPU and meta as two devices of tensors without values, neither of which sees what lies on the other."""
    plain = torch.tensor
    monkeypatch.setattr(blocks, "has_values", lambda _tensor: False)
    monkeypatch.setattr(torch, "tensor", lambda data, device=None, **how: plain(data, **how).to(device or "cpu"))
    with functorch_config.patch(fake_tensor_allow_meta=True):
        yield FakeTensorMode(allow_non_fake_inputs=True)


@every_method_and_family
def test_a_model_on_two_devices_learns_and_answers(family, method, pretended_devices, caplog):
    if isinstance(method, Linearized) and family in ("gpt2", "opt"):
        pytest.skip("where a tensor has no values, torch's addmm forgets the device of a tangent that is zero")
    model = random_model(family, 2, 0)
    names = two_halves(model, "cpu", "meta")
    dispatch(model, dict(sorted(names.items(), key=lambda item: item[1] != "cpu")))
    with pretended_devices as mode:
        without_values(model, mode)
        learned = method.learn(model, SHOWN)
        answer = inside(learned)
    assert [keys.device.type for keys in learned.prefix.keys] == ["cpu", "meta"]
    layer_of = {tuned.name: tuned.layer for tuned in model.tuned_parameters}
    assert all(value.device.type == ("cpu", "meta")[layer_of[name]] for name, value in learned.weights.items())
    assert {tensor.device.type for tensor in tensors_of(answer)} == {"cpu"}
    assert answer.scores.shape[:2] == (2, 4)


def test_pretended_devices_do_not_see_each_others_tensors(pretended_devices):
    with pretended_devices, pytest.raises(Exception, match="on the same device"):
        torch.ones(2) + torch.ones(2).to("meta")


@every_family
def test_where_there_is_no_gpu_a_spread_model_answers_as_it_did(family):
    model, same = random_model(family, 2, 0), random_model(family, 2, 0)
    moved = spread(model)
    for name in ("in_context", "finetuning", "sequential"):
        got, wanted = (METHODS[name].learn(one, SHOWN).answer(QUERIES) for one in (moved, same))
        assert torch.equal(got.log_probabilities, wanted.log_probabilities)


def test_the_hooks_that_move_tensors_change_no_number():
    from accelerate import dispatch_model

    model = random_model("gpt2", 2, 0)
    dispatch_model(model.network, two_halves(model, "cpu", "cpu"), main_device="cpu", force_hooks=True)
    assert hasattr(model.network, "_hf_hook")
    for method in METHODS.values():
        got, wanted = (method.learn(one, SHOWN).answer(QUERIES) for one in (model, random_model("gpt2", 2, 0)))
        assert torch.equal(got.log_probabilities, wanted.log_probabilities)


def test_a_model_that_does_not_fit_the_memory_is_refused():
    with pytest.raises(ModelError, match=r"does not fit the GPUs.*left for disk.*Use dtype float16"):
        spread(random_model("llama", 4, 0), {"cpu": 9_000})


@pytest.mark.parametrize("places", [{"model": 0, "lm_head": "cpu"}, {"model": 0, "lm_head": "disk"}])
def test_a_model_of_which_some_is_left_off_the_gpus_is_refused(monkeypatch, places):
    monkeypatch.setattr("accelerate.infer_auto_device_map", lambda *_given, **_how: places)
    with pytest.raises(ModelError, match=f"left for {places['lm_head']}"):
        spread(random_model("llama", 1, 0))


def test_the_device_spread_is_no_device_of_torch(monkeypatch):
    loaded, asked = [random_model("llama", 1, 0), random_model("llama", 1, 1)], []
    monkeypatch.setattr("icl_claims.models.reference.spread", lambda model: loaded[1] if model is loaded[0] else None)
    monkeypatch.setattr("icl_claims.models.loading.load_folder", lambda *_a, **how: asked.append(how) or loaded[0])
    assert load_model("path:somewhere", device="spread") is loaded[1]
    assert [how["device"] for how in asked] == [torch.device("cpu")]
    with pytest.raises(ModelError, match="Unknown device"):
        find_device("spread")


# Out of memory


WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")


def example(row):
    """No two of twelve rows have the same text.

    Two demonstrations of one text and label, each read alone, get the same attention in exact arithmetic: whether they
    are tied or in some order, and so Kendall's tau, would follow from the rounding, which differs between batches.
    """
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 4))}, row % 2, row)


CONTEXTUAL = Protocol(calibration="contextual")
DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(9))), "directory", "data")


def tokens_of(queries):
    return sum(map(len, queries.rows))


@pytest.fixture
def trial_with(word_encoder, monkeypatch):
    """Runs a trial on a device that holds so many tokens of queries."""

    def run(room=None, batch=None):
        model = random_model("llama", 2, 0)
        model.tokens = word_encoder()
        spec = TrialSpec(model.digest, DATA.digest, "sst2", 3, 5, 0, None, (Finetuning(0.1),), protocol=CONTEXTUAL)
        answer = model.activations

        def answer_in_room(rows, *args, **how):
            if room is not None and builtins.sum(map(len, rows)) > room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return answer(rows, *args, **how)

        monkeypatch.setattr(model, "activations", answer_in_room)
        return run_trial(spec, model, DATA, tokens_per_batch=batch)

    return run


def test_where_memory_runs_out_batches_are_halved_with_a_note(trial_with):
    assert len({example.fields["sentence"] for example in DATA.train}) == len(DATA.train)
    whole, halved = trial_with(), trial_with(room=20)
    assert whole.provenance["notes"] == []
    total = sum(2 + len(e.fields["sentence"].split()) + 1 for e in DATA.validation)
    assert halved.provenance["notes"][0] == f"batch halved to {total // 2} tokens: out of memory"
    for name in ("log_probabilities", "content_free", "by_layer"):
        one, other = getattr(whole, name), getattr(halved, name)
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_allclose(other[key], one[key], atol=1e-4)


def test_halved_batches_give_the_numbers_of_small_batches(trial_with):
    total = sum(2 + len(e.fields["sentence"].split()) + 1 for e in DATA.validation)
    halved, small = trial_with(room=total // 2), trial_with(batch=total // 2)
    for name in halved.by_layer:
        np.testing.assert_array_equal(halved.by_layer[name], small.by_layer[name])
    for name in halved.methods:
        np.testing.assert_array_equal(halved.log_probabilities[name], small.log_probabilities[name])


def test_a_query_that_does_not_fit_alone_is_an_error_with_advice(trial_with):
    with pytest.raises(ModelError, match=r"memory of the device is full with \d queries of .*dtype float16"):
        trial_with(room=2)


def test_memory_that_runs_out_while_learning_is_an_error(trial_with, monkeypatch):
    def full(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Finetuning, "learn", full)
    with pytest.raises(ModelError, match="full with what finetuning learns"):
        trial_with()


@pytest.mark.parametrize("room", [9, 10, 17, 100])
def test_every_query_is_worked_on_once_in_little_memory(room):
    queries = Queries(tuple((9,) * length for length in (3, 1, 2, 3, 3, 1, 2)), (1, 2), -1, -1)
    done, said = [], []

    def work(batch, _tokens):
        if tokens_of(queries.some(batch)) > room:
            raise torch.OutOfMemoryError("full")
        done.extend(batch)

    in_batches(queries, work, say=said.append)
    assert sorted(done) == list(range(7))
    assert bool(said) == (tokens_of(queries) > room)


def test_other_errors_are_not_taken_for_memory():
    def work(_batch, _tokens):
        raise RuntimeError("device-side assert")

    with pytest.raises(RuntimeError, match="device-side assert"):
        in_batches(Queries(((9,) * 3, (9,)), (1, 2), -1, -1), work)


def test_what_the_error_held_is_gone_before_the_next_batch():
    queries, held = Queries(((9,),) * 8, (1, 2), -1, -1), []

    def work(batch, _tokens):
        assert not any(tensor() is not None for tensor in held)
        if len(batch) > 2:
            filled = torch.zeros(1)
            held.append(weakref.ref(filled))
            raise torch.OutOfMemoryError("full")

    in_batches(queries, work)
    assert len(held) == 2
