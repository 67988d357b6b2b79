"""Cached figures of a page, which the same code drew from the same numbers: drawing takes most of a report's time."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from markupsafe import Markup

from icl_claims.errors import StoreError
from icl_claims.report.figures import draw_pictures
from icl_claims.storage.checksummed import read_manifest, write_checksummed
from icl_claims.storage.files import cache_folder, source_digest


@dataclass(frozen=True)
class CachedFigure:
    """A figure as a page shows it.

    Args:
        title: What it shows, as a heading.
        caption: How to read it.
        svg: SVG for the page.
    """

    title: str
    caption: str
    svg: str

    def inline(self) -> Markup:
        """The SVG for a page."""
        return Markup(self.svg)


def default_figures() -> Path:
    """The folder of figures in the cache: a folder for each state of the code that drew some."""
    return cache_folder() / "figures"


def outdated_figures() -> list[Path]:
    """The folders of figures that other code drew."""
    return [folder for folder in sorted(default_figures().glob("*")) if folder.name != _code()]


def figures_of_page(numbers: Mapping[str, Any], profile: str) -> list[CachedFigure]:
    """What `draw_pictures` draws, as a page shows it; drawn only if it is not cached.

    Args:
        numbers: Numbers behind the figures of a profile.
        profile: Profile whose trials gave them.
    """
    key = hashlib.sha256(json.dumps([profile, numbers], sort_keys=True).encode()).hexdigest()
    folder = default_figures() / _code() / key
    with suppress(StoreError):
        return [CachedFigure(**figure) for figure in read_manifest(folder, key).facts["figures"]]
    drawn = [CachedFigure(one.title, one.caption, str(one.inline())) for one in draw_pictures(numbers, profile)]
    with suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)  # what is damaged
        write_checksummed(folder, key, {"figures": [asdict(figure) for figure in drawn]}, {})
    return drawn


@cache
def _code() -> str:
    """SHA-256 of what draws: the report's code, and matplotlib's version."""
    report = Path(__file__).parent
    return hashlib.sha256(f"{mpl.__version__} {source_digest(report.rglob('*.py'), report)}".encode()).hexdigest()
