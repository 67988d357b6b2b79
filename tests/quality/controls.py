"""Negative controls: the own test of a claim, run over a broken piece of mathematics, must say `refuted`.

Of a claim that is refuted already it must say `supported` over the piece that would make the claim true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from icl_claims.claims import Verdict, Word
from icl_claims.evidence.exact import exact_evidence
from icl_claims.metrics import Metric

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Control:
    """One broken variant of something that an exact claim rests on.

    Of a claim that is refuted as it stands, a variant under which it holds.

    Args:
        claim: Id of the claim.
        broken: What is broken, in words.
        replace: Dotted names, and what stands in their place.
        word: What the claim's own test must say then.
    """

    claim: str
    broken: str
    replace: Mapping[str, object]
    word: Word = "refuted"

    def __str__(self) -> str:
        return f"{self.claim}: {self.broken}"


def computed(metric: Metric, values: Callable[..., Any]) -> Metric:
    """A metric that is computed in another way."""
    return replace(metric, values=values)


def verdict_under(control: Control, monkeypatch: pytest.MonkeyPatch) -> Verdict:
    """What the claim's own test says while the broken variant is in place."""
    test = exact_tests()[control.claim]
    for name, value in control.replace.items():
        monkeypatch.setattr(name, value)
    decided: list[Verdict] = []
    with _without_shrinking(), exact_evidence(chosen=True) as evidence:
        test(evidence=evidence, decide=decided.append)
    (verdict,) = decided
    return verdict


@cache
def claim_tests() -> tuple[tuple[Callable[..., Any], pytest.Mark], ...]:
    """Every test that decides a claim, with its mark: the claim, its sources and the condition that it drops."""
    files = sorted((ROOT / "claims").rglob("test_*.py"))
    modules = [import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in files]
    tests = [value for module in modules for value in vars(module).values()]
    return tuple((test, mark) for test in tests for mark in getattr(test, "pytestmark", ()) if mark.name == "claim")


@cache
def exact_tests() -> dict[str, Callable[..., None]]:
    """The test that decides each exact claim, by the claim's id (not those that drop a condition)."""
    return {
        mark.args[0].id: test
        for test, mark in claim_tests()
        if "exact" in mark.kwargs["sources"] and not mark.kwargs["condition"]
    }


def all_controls() -> list[Control]:
    """The controls of every `test_*_controls.py` beside this file."""
    files = sorted(Path(__file__).parent.glob("test_*_controls.py"))
    return [control for file in files for control in import_module(f"tests.quality.{file.stem}").CONTROLS]


@contextmanager
def _without_shrinking() -> Iterator[None]:
    """The first failing case is enough: a control asks whether there is one, not which is the simplest."""
    before = settings.default
    settings.register_profile("controls", before, phases=(Phase.explicit, Phase.generate), report_multiple_bugs=False)
    settings.load_profile("controls")
    try:
        yield
    finally:
        settings.register_profile("before_controls", before)
        settings.load_profile("before_controls")
