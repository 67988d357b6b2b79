"""The names in print of papers and of sources of evidence; everything else carries its own."""

from __future__ import annotations

SOURCE_NAMES = {"exact": "exact", "printed": "printed", "author_runs": "author runs", "trials": "trials"}


def paper_name(paper: str) -> str:
    """The short name of a paper: `von_oswald` is `Von Oswald`."""
    return " ".join(word[:1].upper() + word[1:] for word in paper.split("_"))


def source_name(source: str, profile: str = "") -> str:
    """A source of evidence, with the profile of its trials."""
    return SOURCE_NAMES.get(source, source) + (f", {profile}" if profile else "")
