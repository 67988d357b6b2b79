"""Negative controls of the claims about Dherin et al. 2025."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from claims.follow_ups.one_block import OneBlock
from icl_claims.theory import implicit_update
from tests.quality.controls import Control, verdict_under

UPDATE = "icl_claims.theory.implicit_update"
BLOCK = "claims.follow_ups.one_block.OneBlock"

rank_one_update, run = implicit_update.rank_one_update, OneBlock.run


def not_divided_by_the_square(weight, without, with_context):
    return rank_one_update(weight, without, with_context) * (without @ without)


def along_what_is_read_with_the_context(weight, without, with_context):
    return torch.outer(weight @ (with_context - without), with_context) / (with_context @ with_context)


def change_of_reading_without_the_weight(weight, without, with_context):
    return rank_one_update(torch.ones_like(weight), without, with_context)


def of_the_first_query(weight, without, with_context):
    return rank_one_update(weight, without[0], with_context[0])


def context_that_acts_linearly(self, ids, *, first=0):
    if first:
        return run(self, ids, first=first)
    passed = run(self, [prompt[-1:] for prompt in ids], first=len(ids[0]) - 1)
    return dataclasses.replace(passed, read=passed.read.flip(-1))


CONTROLS = [
    Control("implicit-rank-one", "|A|^2 missing", {f"{UPDATE}.rank_one_update": not_divided_by_the_square}),
    Control(
        "implicit-rank-one",
        "along what is read with the context",
        {f"{UPDATE}.rank_one_update": along_what_is_read_with_the_context},
    ),
    Control("implicit-rank-one", "W forgotten", {f"{UPDATE}.rank_one_update": change_of_reading_without_the_weight}),
    Control("no-static-update", "the update of the first query", {f"{UPDATE}.static_update": of_the_first_query}),
    Control(
        "no-static-update",
        "a context that acts linearly on what is read",
        {f"{BLOCK}.run": context_that_acts_linearly},
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
