"""The architecture families that the project promises.

Attention, blocks and projections are discovered in whatever module a network has; nothing here adapts a family. A new
one takes a line in `FAMILIES`: lists in errors, random models and the tests of every family follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """A family of architectures.

    Args:
        model_type: its name in transformers, which also names its random models.
        tiny: what its random models' configuration adds to the shape that all of them share; None if it has none.
    """

    title: str
    model_type: str
    tiny: Mapping[str, Any] | None


_PLAIN = {"intermediate_size": 32}
_GATED = {**_PLAIN, "num_key_value_heads": 2}
_WINDOWED = {**_GATED, "sliding_window": 7}
_OPT = {"ffn_dim": 32, "word_embed_proj_dim": 16, "activation_function": "gelu"}  # as in the public fairseq models

FAMILIES = (
    Family("Llama", "llama", _GATED),
    Family("Qwen2", "qwen2", _GATED),
    Family("Mistral", "mistral", _WINDOWED),
    Family("Gemma 3", "gemma3_text", {**_WINDOWED, "head_dim": 4}),
    Family("OPT", "opt", _OPT),
    Family("GPT-2", "gpt2", {}),
    Family("GPT-NeoX", "gpt_neox", _PLAIN),
    Family("Phi", "phi", _PLAIN),
    Family("XGLM", "xglm", None),  # runs as OPT, see fairseq.opt_of_xglm
)
TITLES = ", ".join(family.title for family in FAMILIES)
