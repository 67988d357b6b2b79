"""Every way of finetuning gives what a decoder written out in plain PyTorch gives, on the committed fairseq model."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch

from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.methods import Clipping, Finetuning, LayerCausal, Linearized
from icl_claims.models.loading import load_fairseq
from icl_claims.tasks.prompts import Demonstrations, Queries

FOLDER = fixtures_folder() / "fairseq"
TOLD = json.loads((FOLDER / "finetuning.json").read_text(encoding="utf-8"))
RATE, CLIP = TOLD["learning_rate"], Clipping(TOLD["clip"], "global_l2")
METHODS = (
    Finetuning(RATE),
    Finetuning(RATE, clip=CLIP),
    LayerCausal(RATE),
    LayerCausal(RATE, clip=CLIP),
    LayerCausal(RATE, "sequential"),
    Linearized(RATE),
)
SHOWN = Demonstrations.from_rows(0, 2, [row[1:] for row in TOLD["demonstrations"]])
QUERY = Queries((tuple(TOLD["query"][1:]),), tuple(range(288)), -1, -1)


CLOSE = {"atol": 2e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def model():
    return load_fairseq(FOLDER, name="fairseq", device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(params=METHODS, ids=lambda method: method.name)
def case(request, model, each_kernel):
    return request.param.learn(model, SHOWN), TOLD["methods"][request.param.name]


def test_losses_and_gradient_norms_of_every_step_are_the_same(case):
    learned, told = case
    assert learned.losses == pytest.approx(told["losses"], rel=1e-5)
    np.testing.assert_allclose(learned.gradient_norms, told["gradient_norms"], rtol=1e-4)


def test_answers_are_the_same(case):
    answer, told = case[0].answer(QUERY), case[1]
    wanted = torch.tensor(told["logits"]).log_softmax(-1)
    torch.testing.assert_close(answer.log_probabilities[0], wanted, **CLOSE)
    torch.testing.assert_close(answer.attention_outputs[:, 0], torch.tensor(told["attention_outputs"]), **CLOSE)
    torch.testing.assert_close(answer.scores[:, :, 0], torch.tensor(told["scores"]), **CLOSE)


def test_every_method_of_the_fixture_is_another(model):
    for one in TOLD["methods"].values():
        same = [other for other in TOLD["methods"].values() if np.allclose(one["logits"], other["logits"], atol=1e-3)]
        assert same == [one]


def test_the_fixture_is_what_its_script_makes():
    found = importlib.util.spec_from_file_location("make_finetuning", FOLDER / "make_finetuning.py")
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    script.check_against_fairseq()
    again = script.finetune(script.losses_of_blocks)
    for name, numbers in TOLD["methods"]["layer_causal"].items():
        np.testing.assert_allclose(again[name], numbers, rtol=1e-5, atol=1e-6)
