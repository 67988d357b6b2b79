"""No architecture of transformers is silently wrong, or refused in words that are not ours."""

from __future__ import annotations

import re
import zlib
from collections import Counter

import pytest

from tests.slow.architectures import PAGE, TYPES, WORDS, Tried, page, try_type

PARTS = 5
OUTCOME = {f"## {title}": outcome for outcome, title in WORDS.items()}
SOME = [kind for kind in TYPES if zlib.crc32(kind.encode()) % PARTS == 0]


def outcomes_of(text: str) -> dict[str, str]:
    """What a page says of each type; reasons may hold numbers that differ from machine to machine."""
    found, outcome = {}, ""
    for line in text.splitlines():
        outcome = OUTCOME.get(line, outcome)
        if outcome == "right" or line.startswith("| `"):
            found |= dict.fromkeys(re.findall("`([^`]*)`", line if outcome == "right" else line.split("|")[1]), outcome)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SOME)
def test_an_architecture_is_right_or_refused(kind):
    tried = try_type(kind)
    assert tried.outcome in ("right", "refused", "unbuilt"), tried.words


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore")
def test_every_architecture_is_right_or_refused():
    tried = [try_type(kind) for kind in TYPES]
    counts = Counter(result.outcome for result in tried)
    assert not [result for result in tried if result.outcome in ("wrong", "raw")]
    assert counts["right"] >= 100
    assert outcomes_of(PAGE.read_text(encoding="utf-8")) == {result.kind: result.outcome for result in tried}


def test_the_page_names_every_architecture_once():
    text = PAGE.read_text(encoding="utf-8")
    assert all(text.count(f"`{kind}`") == 1 for kind in TYPES)


def test_the_page_has_a_section_for_each_outcome():
    text = page([Tried("a", "right", "1e-6"), Tried("b", "refused", "got x | y")])
    assert "right: 1; refused: 1; could not be built: 0; wrong: 0; raw error: 0." in text
    assert "| `b` | got x / y |" in text
