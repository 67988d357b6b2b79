"""What happens when MkDocs builds the documentation: pages come from declarations, formulas become MathML."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

from docs.pages_of_declarations import pages

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
COPIED = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "claims/README.md": "writing_claims.md",
    "benchmarks/results.md": "reference/benchmark.md",
}
"""Pages that live elsewhere in the repository."""
DECLARED = {
    "icl_claims/metrics": "reference/metrics.md",
    "icl_claims/methods": "reference/methods.md",
    "icl_claims/protocol.py": "reference/forks.md",
    "icl_claims/report/verdicts.py": "reference/words.md",
    "icl_claims/cli": "reference/commands.md",
    "icl_claims/statistics": "api/statistics.md",
    "icl_claims/__init__.py": "api/front_door.md",
    "examples/simaou_by_layer.ipynb": "simaou_by_layer.md",
}
"""What a link leads to on a Git host, and the page that stands for it here."""
NOTEBOOK = "examples/simaou_by_layer.ipynb"
LINK = re.compile(r"\]\(((?!https?:|#|mailto:)[^)\s]+)\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made when the documentation is built."""
    made: dict[str, str | bytes] = {**pages(), **notebook_page(ROOT / NOTEBOOK)}
    for place, page in COPIED.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        made[page] = text if text.startswith("# ") else f"# Benchmark\n\n{text}"
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of the documentation to the pages that stand for what they name."""
    place = page.file.src_uri
    sources = {made: PurePosixPath(source) for source, made in COPIED.items()}
    folder = sources.get(place, PurePosixPath("docs") / place).parent

    def led(match: re.Match[str]) -> str:
        target, _, anchor = match[1].partition("#")
        wanted = _normal(folder / target)
        here = {**COPIED, **DECLARED}.get(wanted) or wanted.removeprefix("docs/") * wanted.startswith("docs/")
        if not here:
            return match[0]
        up = "../" * (len(PurePosixPath(place).parts) - 1)
        return f"]({up}{here}{'#' * bool(anchor)}{anchor})"

    return LINK.sub(led, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw by themselves; what scrolls sideways can be reached by the keyboard."""
    return FORMULA.sub(_mathematics, html).replace("<pre><span></span><code>", '<pre tabindex="0"><span></span><code>')


def _mathematics(found: re.Match[str]) -> str:
    formula = unescape(found[2]).strip()
    if found[1] == "span":
        return convert(formula)
    return f'<div class="formula" tabindex="0">{convert(formula, display="block")}</div>'


def notebook_page(path: Path) -> dict[str, str | bytes]:
    """A notebook as a page, with what its cells gave, and its pictures."""
    made: dict[str, str | bytes] = {}
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                picture = f"{path.stem}_{len(made) + 1}.png"
                made[picture] = base64.b64decode("".join(data["image/png"]))
                alt = output.get("metadata", {}).get("alt", "What the cell above draws")
                parts.append(f"![{alt}]({picture})")
            elif text := "".join(output.get("text", data.get("text/plain", ()))):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return {**made, f"{path.stem}.md": "\n\n".join(parts) + "\n"}


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
