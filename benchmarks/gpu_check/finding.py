"""What a check found: numbers, their limits, and in a word whether it passed."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.dense import PAPERS, SMALL, SMALLER, Shape
from benchmarks.outcome import Say
from benchmarks.setting import Effort, Size

Word = Literal["passed", "failed", "not checked"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        check: what was checked.
        word: whether it passed; `not checked` where this machine has nothing to check it with.
        measured: numbers, or words, by what they are.
        limits: the largest that a number may be, for those that are judged.
        why: what broke it off, or why it was not checked.
    """

    check: str
    word: Word
    measured: Mapping[str, float | str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    why: str = ""

    @classmethod
    def judged(cls, check: str, measured: Mapping[str, float | str], limits: Mapping[str, float]) -> Finding:
        """Failed where a number is above its limit, or is none."""
        beyond = [what for what, limit in limits.items() if not float(measured[what]) <= limit]
        why = f"{', '.join(beyond)} beyond the limit" if beyond else ""
        return cls(check, "failed" if beyond else "passed", measured, limits, why)


@dataclass(frozen=True)
class Asked:
    """What is checked.

    Args:
        device: of the suite; it is compared with the CPU.
        large: shape of the model that is measured.
        smaller: shape of the one that the CPU answers with, too.
        seed: of all weights.
        effort: size of the measurement.
        tasks: those of the claims.
        demonstrations: of the claims.
        dtypes: in which numbers are compared, and the pass is measured.
        folder: for models and reports, removed afterwards.
    """

    device: torch.device
    large: Shape
    smaller: Shape
    seed: int
    effort: Effort
    tasks: tuple[str, ...]
    demonstrations: int
    folder: Path
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float16, torch.bfloat16)


def asked_of(device: torch.device, seed: int, folder: Path, *, small: bool) -> Asked:
    """The whole check, or a small one that shows that it runs."""
    effort = Effort(
        rounds=1 if small else 3,
        queries=4 if small else 64,
        prompts=1 if small else 4,
        context=60 if small else 1000,
        contexts=(),
        numbers=(),
        trial=Size(3, 4) if small else Size(32, 64),
        small_trial=Size(3, 8) if small else Size(4, 32),
        memory_trial=Size(3, 8) if small else Size(32, 64),
        steps=(1, 1),
    )
    tasks = ("sst2", "cb") if small else ("sst2", "sst5", "mr", "subj", "agnews", "cb")
    shapes = (SMALL, SMALL) if small else (PAPERS, SMALLER)
    return Asked(device, *shapes, seed, effort, tasks, 2 if small else 8, folder)


Check = Callable[[Asked, Say], Iterator[Finding]]
Report = Callable[[str, str, float], None]
"""Takes a check, what it is doing, and how many checks are done."""


def found_by(checks: Mapping[str, Check], asked: Asked, report: Report) -> Iterator[Finding]:
    """What each check finds; one that breaks off is a failed one, and the others go on."""
    for done, (name, check) in enumerate(checks.items()):
        try:
            yield from check(asked, partial(_report_step, report, name, done))
        except Exception as error:  # whatever a device does wrong is what is looked for
            line = (str(error).strip().splitlines() or ["no message"])[0]
            yield Finding(name, "failed", why=f"{type(error).__name__}: {line[:300]}")
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        report(name, "done", done + 1)


def _report_step(report: Report, check: str, done: int, step: str) -> None:
    report(check, step, done)


def as_markdown(findings: Sequence[Finding]) -> str:
    """Findings as a table."""
    return "\n".join(["| check | | measured (at most) |", "| --- | --- | --- |", *map(_line, findings)]) + "\n"


def _line(finding: Finding) -> str:
    told = [_told(what, value, finding.limits.get(what)) for what, value in finding.measured.items()]
    return f"| {finding.check} | {finding.word} | {'; '.join([*told, *([finding.why] if finding.why else [])])} |"


def _told(what: str, value: float | str, limit: float | None) -> str:
    number = value if isinstance(value, str) else f"{value:.3g}"
    return f"{what} {number}" + ("" if limit is None else f" ({limit:.2g})")


def write(findings: Sequence[Finding], machine: Mapping[str, Any], file: Path) -> None:
    """Write one JSON file, and a table next to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = {"machine": dict(machine), "findings": [asdict(finding) for finding in findings]}
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    of_machine = ", ".join(f"{name} {value}" for name, value in machine.items())
    file.with_suffix(".md").write_text(f"{as_markdown(findings)}\n{of_machine}\n", encoding="utf-8")
