"""Where the tests of claims lie, and what those that ship with the project are called wherever they lie."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from icl_claims.fixtures_folder import CLAIMS, shipped_claims


def shipped_name(path: Path) -> str | None:
    """What a file of the project's claims is called, `claims/...` in a clone and in a wheel; None for any other file.

    Names of tests are keys of cached verdicts, and tell runs apart.
    """
    folder = shipped_claims()
    return f"{CLAIMS}/{path.relative_to(folder).as_posix()}" if path.is_relative_to(folder) else None


def place_of(test: str) -> str:
    """A test by its name as pytest takes it: one of the project's claims where these lie, unless it is found here."""
    path, *names = test.split("::")
    first, *inside = Path(path).parts or ("",)
    there = shipped_claims().joinpath(*inside)
    moved = first == CLAIMS and not Path(path).exists() and there.exists()
    return "::".join((str(there), *names)) if moved else test


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Name the tests of the project's claims alike wherever these are installed."""
    name = shipped_name(module_path)
    if name is None:
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=module_path, nodeid=name)
    return module


def named_places(config: pytest.Config) -> set[Path]:
    """The files and folders that the arguments of a run name, also those of modules under `--pyargs`."""
    found = set()
    for argument in config.args:
        name = argument.partition("::")[0]
        path = config.invocation_params.dir / name
        if config.option.pyargs and not path.exists():
            path = _of_module(name) or path
        found.add(path)
    return found


def _of_module(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
