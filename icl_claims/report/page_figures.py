"""The figures of a page: drawn once from the same numbers by the same code, for drawing is most of a report's work."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from icl_claims.errors import StoreError
from icl_claims.report.document import Document, libraries
from icl_claims.storage import checksummed, files, source_code


@dataclass(frozen=True)
class PageFigure:
    """A figure as a page shows it: how to read it stands in its caption."""

    title: str
    caption: str
    svg: str

    def inline(self) -> Markup:
        """The SVG for a page."""
        return Markup(self.svg)


def figures_of_run(document: Document) -> dict[str, list[PageFigure]]:
    """By profile, the figures of a document's page."""
    return {profile: figures_of_page(numbers, profile) for profile, numbers in document["pictures"].items()}


def default_figures() -> Path:
    """The folder of figures in the cache: a folder for each state of the code that drew some."""
    return files.cache_folder() / "figures"


def outdated_figures() -> list[Path]:
    """The folders of figures that other code drew."""
    return [folder for folder in sorted(default_figures().glob("*")) if folder.name != _code()]


def figures_of_page(numbers: Mapping[str, Any], profile: str) -> list[PageFigure]:
    """What `draw_pictures` draws of the numbers of a profile, as a page shows it; drawn only if it is not cached."""
    key = hashlib.sha256(json.dumps([profile, numbers], sort_keys=True).encode()).hexdigest()
    folder = default_figures() / _code() / key
    with suppress(StoreError):
        return [PageFigure(**figure) for figure in checksummed.read_manifest(folder, key).facts["figures"]]
    from icl_claims.report.figures import draw_pictures

    drawn = [PageFigure(one.title, one.caption, str(one.inline())) for one in draw_pictures(numbers, profile)]
    with suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)  # what is damaged
        checksummed.write_checksummed(folder, key, {"figures": [asdict(figure) for figure in drawn]}, {})
    return drawn


@cache
def _code() -> str:
    """SHA-256 of what draws: the report's code, and matplotlib's version."""
    report = Path(__file__).parent
    return hashlib.sha256(
        f"{libraries(('matplotlib',))} {source_code.source_digest(report.rglob('*.py'), report)}".encode()
    ).hexdigest()
