"""Negative controls: the own test of a claim, run over a broken piece of mathematics, must say `refuted`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import Phase, settings

from icl_claims.claims import Verdict
from icl_claims.evidence.exact import ExactEvidence

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "claims"


@dataclass(frozen=True)
class Control:
    """One broken variant of something that an exact claim rests on.

    Args:
        claim: id of the claim.
        broken: what is broken, in words.
        file: the claim's file, below `claims/`.
        replace: dotted names, and what stands in their place.
    """

    claim: str
    broken: str
    file: str
    replace: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.claim}: {self.broken}"


def verdict_under(control: Control, monkeypatch: pytest.MonkeyPatch) -> Verdict:
    """What the claim's own test says while the broken variant is in place."""
    test = exact_tests(CLAIMS / control.file)[control.claim]
    for name, value in control.replace.items():
        monkeypatch.setattr(name, value)
    kept: list[Verdict] = []
    with _without_shrinking():
        test(evidence=ExactEvidence(), decide=kept.append)
    (verdict,) = kept
    return verdict


def exact_tests(file: Path) -> dict[str, Callable[..., None]]:
    """The test that decides each exact claim of a file, by the claim's id (not those that drop a condition)."""
    found = {}
    for value in vars(load(file)).values():
        for mark in getattr(value, "pytestmark", ()):
            if mark.name == "claim" and "exact" in mark.kwargs["sources"] and not mark.kwargs["condition"]:
                found[mark.args[0].id] = value
    return found


def all_exact_claims() -> set[str]:
    """Ids of the claims that mathematics decides, over all files of claims."""
    return {claim for file in sorted(CLAIMS.rglob("test_*.py")) for claim in exact_tests(file)}


def all_controls() -> list[Control]:
    """The controls of every `test_*_controls.py` beside this file."""
    modules = (load(file) for file in sorted(Path(__file__).parent.glob("test_*_controls.py")))
    return [control for module in modules for control in module.CONTROLS]


@cache
def load(file: Path) -> ModuleType:
    """A Python file as a module, without a package around it."""
    spec = importlib.util.spec_from_file_location("_".join(file.relative_to(ROOT).with_suffix("").parts), file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
