"""Docstrings as Markdown: their examples as code, and arrays such as [layer][head] as text."""

from __future__ import annotations

from typing import Any

import griffe


class ExamplesAsCode(griffe.Extension):
    """Rewrites docstrings before they are rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object, if it has one."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """A docstring with a fence around each of its examples.

    >>> print(as_markdown("One.\\n\\n>>> 1 + 1\\n2\\n\\nTwo."))
    One.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    <BLANKLINE>
    Two.
    """
    parts = []
    for part in docstring.split("\n\n"):
        if part.lstrip().startswith(">>>"):
            margin = part[: len(part) - len(part.lstrip())].rpartition("\n")[2]
            parts.append(f"{margin}```pycon\n{part}\n{margin}```")
        else:
            parts.append(part.replace("][", "]\\["))
    return "\n\n".join(parts)
