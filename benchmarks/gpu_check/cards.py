"""A model that is spread over several cards answers and learns as on one."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from benchmarks.dense import as_model, dense_network
from benchmarks.gpu_check.agreement import CPU, differences, limits_in, numbers
from benchmarks.gpu_check.finding import Asked, Finding
from benchmarks.outcome import Say
from icl_claims.models.reference import spread

CHECK = "a model over several cards"


def several_cards(asked: Asked, say: Say) -> Iterator[Finding]:
    """The same numbers of one card and of all, in single precision."""
    cards = torch.cuda.device_count() if asked.device.type == "cuda" else 0
    if cards < 2:
        yield Finding(CHECK, "not checked", why="one card" if cards else "no card")
        return
    network = dense_network(asked.smaller, asked.seed, CPU, torch.float32)
    say("on one card")
    exact = numbers(as_model(copy.deepcopy(network).to(asked.device), asked.smaller, asked.seed), asked)
    say(f"over {cards} cards")
    moved = spread(as_model(network, asked.smaller, asked.seed))
    seen = numbers(moved, asked)
    used = len({parameter.device for parameter in moved.network.parameters()})
    measured = {**differences(seen, exact), "cards:": str(used)}
    yield Finding.judged(CHECK, measured, limits_in(torch.float32))
