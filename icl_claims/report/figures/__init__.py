"""The papers' own pictures, redrawn from our runs: the same input gives the same bytes."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from icl_claims.report.figures.drawing import Legend, Picture, save_picture, style
from icl_claims.report.figures.pictures import draw_by_layer, draw_changes, draw_clip_sweep, draw_gradient_norms


def draw_pictures(numbers: Mapping[str, Any], profile: str) -> Iterator[Picture]:
    """Every picture that the numbers of a profile allow.

    Args:
        numbers: `changes`, `gradient_norms`, `by_layer` and `clip_sweep`, each by task, and their `legend`; any may be
            missing.
        profile: Profile whose trials gave the numbers; part of the pictures' names, as letters, digits and hyphens.
    """
    profile = re.sub(r"[^A-Za-z0-9]+", "-", profile)
    legend = Legend.of(numbers)
    with style():
        if numbers.get("changes"):
            yield draw_changes(numbers["changes"], profile)
        if any((numbers.get("gradient_norms") or {}).values()):
            yield draw_gradient_norms(numbers["gradient_norms"], profile, legend)
        yield from draw_by_layer(numbers.get("by_layer") or {}, profile, legend)
        if numbers.get("clip_sweep"):
            yield draw_clip_sweep(numbers["clip_sweep"], profile, legend)
