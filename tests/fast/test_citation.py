"""Whoever cites the suite cites the version that there is."""

from pathlib import Path

from icl_claims import __version__

CITATION = Path(__file__).parents[2] / "CITATION.cff"


def test_the_citation_names_this_version():
    assert f"version: {__version__}" in CITATION.read_text(encoding="utf-8").splitlines()
