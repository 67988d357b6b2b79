"""The pages for readers, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (test_\w+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A block of code, its language and what it holds."""

    page: str
    kind: str
    text: str

    @property
    def file(self) -> str:
        """The name of the test file that it is; empty where it is none."""
        found = _FILE.match(self.text)
        return found[1] if found else ""


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page."""
    return [Block(page.name, kind, text) for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8"))]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
COMMANDS = [
    line.partition(" #")[0].strip()
    for block in BLOCKS
    if block.kind == "sh"
    for line in block.text.replace("\\\n", " ").splitlines()
    if line
]
