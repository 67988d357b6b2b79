"""What a reader chooses of engines: which one, how many workers, and what a job of SLURM gets. Nothing heavy here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from icl_claims.errors import EngineError, UsageError

if TYPE_CHECKING:
    from icl_claims.engines.engine import Engine

LOCAL, DASK, SLURM = "local", "dask", "slurm"
Executor = Literal["slurm", "local", "debug"]


def _said(metavar: str, text: str) -> dict[str, str]:
    return {"metavar": metavar, "help": text}


@dataclass(frozen=True)
class SlurmOptions:
    """What a job gets; each field is an option, and an entry of the TOML file that gives all of them."""

    partition: str | None = field(default=None, metadata=_said("NAME", "partition of the jobs; default: SLURM's own"))
    time: str = field(default="60m", metadata=_said("TIME", "walltime of a job, such as 90m or 4h; default: 60m"))
    gpus: int = field(default=0, metadata=_said("N", "GPUs of a job; default: 0"))
    memory: float = field(default=8.0, metadata=_said("GB", "memory of a job; default: 8"))
    cpus: int = field(default=4, metadata=_said("N", "processors of a job; default: 4"))
    array: int = field(default=16, metadata=_said("N", "jobs at once, an array; default: 16"))
    trials: int = field(
        default=4, metadata=_said("N", "trials that a job runs at most, with one loading of the model; default: 4")
    )
    executor: Executor = field(
        default="slurm",
        metadata=_said("NAME", "slurm (default), or where there is none: local (processes) or debug (this process)"),
    )
    folder: str | None = field(
        default=None,
        metadata=_said("DIR", "folder of scripts, logs and replies that all nodes see; default: jobs in the cache"),
    )

    def __post_init__(self) -> None:
        if self.executor not in get_args(Executor):
            wanted = ", ".join(get_args(Executor))
            raise UsageError("⟨slurm_executor⟩ is unknown", expected=wanted, got=repr(self.executor))
        for name in ("cpus", "array", "trials"):
            if getattr(self, name) < 1:
                raise UsageError(f"⟨slurm_{name}⟩ is too small", expected="at least 1", got=str(getattr(self, name)))
        if self.gpus < 0 or self.memory <= 0:
            got = f"{self.gpus} GPUs and {self.memory} GB"
            raise UsageError("A job cannot get so little", expected="⟨slurm_gpus⟩ and ⟨slurm_memory⟩", got=got)
        self.minutes()

    def minutes(self) -> int:
        """The walltime in whole minutes.

        Raises:
            UsageError: it is no time.
        """
        found = re.fullmatch(r"([0-9.]+)([smhd]?)", str(self.time))
        units = {"s": 1 / 60, "": 1.0, "m": 1.0, "h": 60.0, "d": 1440.0}
        try:
            minutes = float(found[1]) * units[found[2]] if found else 0.0
        except ValueError:
            minutes = 0.0
        if minutes < 1:
            wanted = "at least 1m, such as 90m or 4h"
            raise UsageError("⟨slurm_time⟩ is no walltime", expected=wanted, got=repr(self.time))
        return int(minutes)

    def parameters(self) -> dict[str, Any]:
        """What submitit is told of every job."""
        general = {
            "timeout_min": self.minutes(),
            "gpus_per_node": self.gpus,
            "mem_gb": self.memory,
            "cpus_per_task": self.cpus,
        }
        return {**general, "slurm_partition": self.partition, "slurm_array_parallelism": self.array}


def slurm_options(given: Mapping[str, Any], file: Path | None = None) -> SlurmOptions:
    """The options of jobs: those that were given, else those of a TOML file, else the defaults.

    Args:
        given: By name; None where one was not given.
        file: Of entries with the same names.

    Raises:
        UsageError: a value makes no sense, or the file cannot be read.
    """
    found: dict[str, Any] = {}
    kinds = {one.name: type(one.default) if one.default is not None else str for one in fields(SlurmOptions)}
    if file is not None:
        try:
            found = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError("⟨slurm_file⟩ cannot be read", expected="a TOML file", got=str(error)) from error
    found |= {name: value for name, value in given.items() if value is not None}
    for name, value in found.items():
        if name not in kinds:
            raise UsageError("⟨slurm_file⟩ has an unknown entry", expected=", ".join(kinds), got=repr(name))
        if not isinstance(value, (kinds[name], int) if kinds[name] is float else kinds[name]) or value is True:
            raise UsageError(f"⟨slurm_{name}⟩ is malformed", expected=kinds[name].__name__, got=repr(value))
    return SlurmOptions(**found)


@dataclass(frozen=True)
class EngineChoice:
    """Where trials are run.

    Args:
        kind: local, in this process or those of xdist; dask; or slurm.
        address: Of a dask scheduler; None to start a cluster here.
        workers: How many of dask are started or expected.
        slurm: What its jobs get.
    """

    kind: str = LOCAL
    address: str | None = None
    workers: int | None = None
    slurm: SlurmOptions = SlurmOptions()

    @property
    def is_local(self) -> bool:
        """Whether this process runs trials itself."""
        return self.kind == LOCAL

    def start(self, folder: Path) -> Engine:
        """The engine; `folder` is for files of jobs, where the reader named none.

        Raises:
            EngineError: its extra is not installed, or nobody answers.
        """
        self.check_installed()
        if self.kind == DASK:
            from icl_claims.engines.dask_cluster import DaskEngine

            return DaskEngine(self.address, self.workers)
        from icl_claims.engines.slurm_jobs import SlurmEngine

        return SlurmEngine(self.slurm, Path(self.slurm.folder).absolute() if self.slurm.folder else folder)

    def check_installed(self) -> None:
        """Refuse an engine whose library is missing, before anything runs.

        Raises:
            EngineError: its extra is not installed.
        """
        library = {DASK: "distributed", SLURM: "submitit"}.get(self.kind)
        if library is not None and find_spec(library) is None:
            todo = f"pip install 'icl-claims[{self.kind}]'"
            raise EngineError(f"The engine {self.kind} is not installed", expected=f"{library}", todo=todo)


def engine_choice(text: str, workers: int | None = None, slurm: SlurmOptions = SlurmOptions()) -> EngineChoice:
    """What a text such as `dask:tcp://host:8786` chooses.

    >>> engine_choice("dask:tcp://host:8786").address, engine_choice("slurm").kind
    ('tcp://host:8786', 'slurm')

    Raises:
        UsageError: there is no such engine, or the number of workers makes no sense.
    """
    kind, colon, address = text.partition(":")
    if kind not in (LOCAL, DASK, SLURM) or (colon and kind != DASK) or (colon and "://" not in address):
        wanted = "local, dask, dask:tcp://host:port or slurm"
        raise UsageError("⟨engine⟩ names no engine", expected=wanted, got=repr(text))
    if workers is not None and (workers < 1 or kind != DASK):
        wanted = "at least 1, of the engine dask"
        raise UsageError("⟨engine_workers⟩ makes no sense", expected=wanted, got=f"{workers} of {kind}")
    return EngineChoice(kind, address or None, workers, slurm)
