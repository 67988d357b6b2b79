"""What claims about tasks speak of: the methods under their papers' names, parts of a model's depth, shared rules."""

from __future__ import annotations

from icl_claims.claims import at_least
from icl_claims.methods import Clipping, Finetuning, InContext, LayerCausal, Linearized, ZeroShot

ZSL, ICL, FT, LC, LINEAR = ZeroShot(), InContext(), Finetuning(), LayerCausal(), Linearized()
SEQUENTIAL = LayerCausal(update="sequential")
CLIPPED = LayerCausal(clip=Clipping(at=12.0))  # the limit that both papers print
CLIPPED_ELSEWHERE = {f"{at:g}": LayerCausal(clip=Clipping(at=at)) for at in (0.2, 1.0, 5.0, 9.0, 15.0)}

LOWER_LAYERS, MIDDLE_LAYERS, UPPER_LAYERS = (0.0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1.0)
LOWER_HALF, UPPER_HALF = (0.0, 0.5), (0.5, 1.0)
MIDDLE_HALF, LAST_QUARTER = (0.25, 0.75), (0.75, 1.0)

LINEARIZED_TASKS = ("sst2", "sst5", "mr", "subj")
GENERALLY_OF_FOUR = at_least(3, of=4)  # as of six, one exception is allowed
ON_SUBJ = at_least(1, of=1)
COMPARABLE = 0.1  # "comparable": a tenth more or less
