"""From text to token ids: a tokenizer, with the two special tokens that a prompt of demonstrations needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from icl_claims.errors import ModelError


@dataclass(frozen=True, eq=False)
class TokenEncoder:
    """A tokenizer without automatic special tokens.

    Args:
        tokenizer: a transformers tokenizer.
        bos: id that opens every prompt (the end-of-text id if a model has no beginning-of-text).
        separator: id that ends a demonstration (the end-of-text id, as in the authors' prompts).
    """

    tokenizer: Any
    bos: int
    separator: int

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, without special tokens."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: tuple[int, ...]) -> str:
        """The text of token ids, for messages."""
        return str(self.tokenizer.decode(list(ids)))


END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>")
CHAT_MARKERS = ("<|im_start|>", "<|im_end|>")


def token_encoder(tokenizer: Any, name: str) -> TokenEncoder:
    """The encoder of a transformers tokenizer.

    Chat models often declare a turn marker as their end-of-text token; where the vocabulary also holds the token that
    separated documents in pretraining, that one is taken, and a turn marker is never taken to open a prompt.

    Raises:
        ModelError: the tokenizer has no end-of-text token, so nothing could separate demonstrations.
    """
    vocabulary = tokenizer.get_vocab()
    end = next((vocabulary[token] for token in END_OF_TEXT if token in vocabulary), tokenizer.eos_token_id)
    if end is None:
        raise ModelError(
            f"The tokenizer of {name} has no end-of-text token",
            expected="an eos_token, which separates demonstrations",
            todo="Set eos_token in the folder's tokenizer_config.json.",
        )
    begin = None if tokenizer.bos_token in CHAT_MARKERS else tokenizer.bos_token_id
    return TokenEncoder(tokenizer, end if begin is None else begin, end)
