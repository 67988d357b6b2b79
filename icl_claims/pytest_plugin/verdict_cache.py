"""Verdicts that the same code reached before on the same evidence: they are read, and not reached again."""

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from filelock import FileLock

import icl_claims
from icl_claims.errors import StoreError
from icl_claims.fixtures_folder import fixtures_folder, shipped_claims
from icl_claims.pytest_plugin.records import CachedVerdict
from icl_claims.pytest_plugin.run_record import merged
from icl_claims.report.document import libraries
from icl_claims.storage.checksummed import read_manifest, write_checksummed
from icl_claims.storage.files import cache_folder, sha256_of
from icl_claims.storage.source_code import own_source, source_digest


def default_verdicts() -> Path:
    """The folder of verdicts in the cache: a folder for each state of the code that reached some."""
    return cache_folder() / "verdicts"


def outdated_verdicts() -> list[Path]:
    """The folders of verdicts of every state of the code but the one that reached some last."""
    folders = [folder for folder in default_verdicts().glob("*") if folder.is_dir()]
    return sorted(folders, key=lambda folder: folder.stat().st_mtime)[:-1]


class VerdictCache:
    """The verdicts of earlier runs by one state of the code, by everything else that they follow from.

    Args:
        again: Whether every claim is decided again, and the new verdicts take the place of those before.
    """

    def __init__(self, folder: Path, *, again: bool = False) -> None:
        self._folder, self._again = folder, again

    def get(self, test: str, source: str, evidence: str) -> CachedVerdict | None:
        """The verdict that a test, by its id, reached before; None if it never did, or the cached one is damaged.

        The evidence is known by its digest, or by its name where code alone decides what it says.
        """
        found = None if self._again else self._read(_key("verdict", test, source, evidence))
        return None if found is None else CachedVerdict(source, *found)

    def put(self, test: str, source: str, evidence: str, record: dict[str, Any]) -> None:
        """Cache a verdict; where nothing can be written it is reached again the next time."""
        self._write(_key("verdict", test, source, evidence), record)

    def pictures(self, evidence: str) -> dict[str, Any]:
        """The numbers behind the figures that were drawn from some evidence; empty if there are none."""
        facts, _ = self._read(_key("pictures", evidence)) or ({}, None)
        return facts

    def put_pictures(self, evidence: str, pictures: dict[str, Any]) -> None:
        """Cache the numbers behind the figures, together with the cached ones of studies that were not run again."""
        with suppress(OSError, NotImplementedError):  # the latter from FileLock, on a file system without locks
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "pictures.lock"):
                self._write(_key("pictures", evidence), merged(self.pictures(evidence), pictures))

    def _read(self, key: str) -> tuple[dict[str, Any], datetime] | None:
        with suppress(StoreError):
            manifest = read_manifest(self._folder / key, key)
            return manifest.facts, manifest.written
        return None

    def _write(self, key: str, facts: dict[str, Any]) -> None:
        with suppress(OSError):
            shutil.rmtree(self._folder / key, ignore_errors=True)
            write_checksummed(self._folder / key, key, facts, {})


def verdict_cache(config: pytest.Config, tests: Mapping[Path, str], *, again: bool) -> VerdictCache:
    """The verdicts of one state of all that a verdict follows from but the evidence: code, fixtures, versions, seeds.

    The package counts without its docstrings; files of claims count with theirs, which are the statements of claims,
    with all the code in their folders under the root of the run, and with whatever of the reader's own they, plugins
    and `conftest.py` files import, wherever it lies. `tests` are the names of modules by file.
    """
    package = Path(icl_claims.__file__).parent
    of_claims = {path for test in tests for path in _code_beside(config, test)}
    plugins = (plugin.__name__ for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, ModuleType))
    files = [*_files(fixtures_folder(), "**/*"), *sorted(of_claims | set(_files(config.rootpath, "conftest.py")))]
    digests = [(path.name, sha256_of(path)) for path in files]
    options = [config.getoption(name, None) for name in ("hypothesis_seed", "hypothesis_profile")]
    code = source_digest(_files(package, "**/*"), package)
    own = own_source({*tests.values(), *plugins})
    found = [code, digests, own, platform.python_version(), libraries(), options]
    folder = default_verdicts() / hashlib.sha256(json.dumps(found, default=str).encode()).hexdigest()
    return VerdictCache(folder, again=again)


def _code_beside(config: pytest.Config, test: Path) -> list[Path]:
    if test.is_relative_to(shipped_claims()):
        return _files(shipped_claims(), "**/*.py")
    inside = test.relative_to(config.rootpath).parts if test.is_relative_to(config.rootpath) else ()
    return _files(config.rootpath / inside[0], "**/*.py") if len(inside) > 1 else _files(test.parent, "*.py")


def _files(folder: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(folder.glob(pattern)) if path.is_file() and "__pycache__" not in path.parts]


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
