"""Activations in the layout of the authors' code."""

from __future__ import annotations

import json

import pytest
import torch

from icl_claims.errors import StoreError
from icl_claims.experiments.activation_export import RecordWriter
from icl_claims.metrics import Answer

GOLD, WIDTHS = [1, 0, 1], [4, 2, 3]


def answer(batch):
    drawn = torch.Generator().manual_seed(sum(batch))
    return Answer(
        torch.randn(len(batch), 2, generator=drawn),
        torch.randn(3, len(batch), 8, generator=drawn),
        torch.randn(3, 2, len(batch), 5, generator=drawn),
    )


@pytest.fixture
def told():
    return [([1, 2], {"zero_shot": answer([1, 2]), "finetuning": answer([2, 1])}), ([0], {"zero_shot": answer([0])})]


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_record_holds_a_querys_activations_without_padding(tmp_path, told):
    writer = RecordWriter(tmp_path, GOLD, WIDTHS)
    for batch, answers in told:
        writer.watch(batch, answers)
    files = writer.close()
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {
        "zs/record_info.jsonl",
        "finetuning/record_info.jsonl",
    }
    records = read(tmp_path / "zs" / "record_info.jsonl")
    first, (_, answers) = records[1], told[0]
    assert torch.equal(torch.tensor(first["self_attn_out_hiddens"]), answers["zero_shot"].attention_outputs[:, 0])
    assert torch.equal(torch.tensor(first["attn_map"]), answers["zero_shot"].scores[:, :, 0, :2])
    assert first["pred_label"] == int(answers["zero_shot"].log_probabilities[0].argmax())


def test_records_are_in_the_order_of_the_queries(tmp_path, told):
    writer = RecordWriter(tmp_path, GOLD, WIDTHS)
    for batch, answers in told:
        writer.watch(batch, answers)
    writer.close()
    records = read(tmp_path / "zs" / "record_info.jsonl")
    assert [record["gold_label"] for record in records] == GOLD
    assert [len(record["attn_map"][0][0]) for record in records] == WIDTHS
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path, told):
    (tmp_path / "zs").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(StoreError, match=str(tmp_path)):
        RecordWriter(tmp_path, GOLD, WIDTHS).watch(*told[1])
