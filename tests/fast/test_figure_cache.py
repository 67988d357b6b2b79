"""Figures of a page are drawn once from the same numbers by the same code."""

from __future__ import annotations

import pytest

from icl_claims.report import figures, page_figures
from icl_claims.report.figures import draw_pictures
from icl_claims.report.page_figures import default_figures, figures_of_page, outdated_figures
from icl_claims.storage.checksummed import MANIFEST

NUMBERS = {"changes": {"cb": {"shared": {"correct": 2, "incorrect": 1}}}}


@pytest.fixture(autouse=True)
def drawings(tmp_path, monkeypatch):
    """How often something was drawn."""
    drawn = []

    def counted(*given):
        drawn.append(given)
        return draw_pictures(*given)

    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(figures, "draw_pictures", counted)
    return drawn


def test_the_second_page_shows_what_was_drawn_for_the_first(drawings):
    first, second = (figures_of_page(NUMBERS, "tiny") for _ in range(2))
    assert first == second
    assert len(drawings) == 1
    (drawn,) = draw_pictures(NUMBERS, "tiny")
    (kept,) = second
    assert (kept.title, kept.caption, kept.inline()) == (drawn.title, drawn.caption, drawn.inline())


@pytest.mark.parametrize(("numbers", "profile"), [({}, "tiny"), (NUMBERS, "embedded")])
def test_other_numbers_and_other_profiles_are_drawn(drawings, numbers, profile):
    figures_of_page(NUMBERS, "tiny")
    figures_of_page(numbers, profile)
    assert len(drawings) == 2


def test_other_code_draws_again_and_what_it_replaces_can_go(drawings, monkeypatch):
    figures_of_page(NUMBERS, "tiny")
    monkeypatch.setattr(page_figures, "_code", lambda: "other")
    figures_of_page(NUMBERS, "tiny")
    assert len(drawings) == 2
    assert len(outdated_figures()) == 1


def test_a_damaged_figure_is_drawn_again(drawings):
    whole = figures_of_page(NUMBERS, "tiny")
    (manifest,) = default_figures().rglob(MANIFEST)
    manifest.write_bytes(manifest.read_bytes().replace(b"svg", b"SVG"))
    assert figures_of_page(NUMBERS, "tiny") == figures_of_page(NUMBERS, "tiny") == whole
    assert len(drawings) == 2


def test_figures_are_drawn_without_a_cache(drawings, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be", encoding="utf-8")
    assert figures_of_page(NUMBERS, "tiny") == figures_of_page(NUMBERS, "tiny")
    assert len(drawings) == 2
