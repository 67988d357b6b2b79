"""The options of engines, and what makes no sense of them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from icl_claims.engines.choices import LOCAL, EngineChoice, SlurmOptions, engine_choice, slurm_options
from icl_claims.errors import UsageError


def add_engine_options(group: pytest.OptionGroup) -> None:
    """Add `--claims-engine` and the options of each engine."""
    group.addoption(
        "--claims-engine",
        metavar="NAME",
        default=LOCAL,
        help="what runs trials: local (default; this process, or those of -n), dask (starts workers here; or "
        "dask:tcp://host:port, a scheduler that is there) or slurm; the others take extras, and pytest itself is one "
        "process",
    )
    text = "workers that dask starts here; of a scheduler that is there, how many to expect at least"
    group.addoption("--claims-engine-workers", metavar="N", type=int, help=text)
    text = "TOML file with the options --claims-slurm-... as entries: partition = 'gpu'"
    group.addoption("--claims-slurm-file", metavar="FILE", help=text)
    for one in fields(SlurmOptions):
        kind = type(one.default) if one.default is not None else str
        name = f"--claims-slurm-{one.name}"
        group.addoption(name, metavar=one.metadata["metavar"], type=kind, help=f"slurm: {one.metadata['help']}")


def engine_of(config: pytest.Config) -> EngineChoice:
    """The engine that the options choose.

    Raises:
        UsageError: they make no sense.
    """
    given = {one.name: config.getoption(f"claims_slurm_{one.name}") for one in fields(SlurmOptions)}
    file = config.getoption("claims_slurm_file")
    slurm = slurm_options(given, None if file is None else Path(file))
    return engine_choice(config.getoption("claims_engine"), config.getoption("claims_engine_workers"), slurm)


def check_engine(config: pytest.Config) -> None:
    """Refuse an engine that makes no sense, or one beside the workers of xdist.

    Raises:
        UsageError: what was expected, and what came.
        EngineError: its extra is not installed.
    """
    chosen = engine_of(config)
    if chosen.is_local:
        return
    chosen.check_installed()
    processes = config.getoption("numprocesses", None) or len(config.getoption("tx", None) or ())
    if processes or hasattr(config, "workerinput"):
        wanted, todo = "one process of pytest", "Leave out -n: the engine has workers of its own (⟨engine_workers⟩)."
        raise UsageError(
            "An engine runs the trials, and so would -n", expected=wanted, got=f"-n {processes}", todo=todo
        )
