"""What a prompt is made of besides its texts, as token ids: label words, and what separates demonstrations."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from icl_claims.errors import PromptError
from icl_claims.protocol import Separator
from icl_claims.tasks.catalogue import Task

FILLERS = ("N/A", "[MASK]", "")
"""What stands in the queries without content of contextual calibration (Zhao et al. 2021, section 5)."""
SEPARATORS: Mapping[Separator, str] = {"newline": "\n", "blank_line": "\n\n"}
"""The texts among the separators of demonstrations."""


class Encoder(Protocol):
    """Turns text into token ids, and knows the two special tokens of a prompt."""

    @property
    def bos(self) -> int:
        """Opens every prompt."""

    @property
    def separator(self) -> int:
        """Ends a demonstration, unless a text does."""

    @property
    def unknown(self) -> frozenset[int]:
        """Stand for whatever the vocabulary lacks."""

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, without special tokens."""

    def names(self, ids: Sequence[int]) -> list[str]:
        """The tokens of some ids."""


def label_tokens(task: Task, encoder: Encoder) -> tuple[int, ...]:
    """The token of each verbalizer: what the word, and a blank before it, add to the template in place.

    In place, because a tokenizer may write a text's first word in another way than the same word within a text.

    Raises:
        PromptError: a verbalizer is not one token that the vocabulary knows, or two share one.
    """
    asked = task.prompt(dict.fromkeys(task.fields, FILLERS[0]))
    before, ids = encoder.encode(asked), []
    for word in task.verbalizers:
        written = encoder.encode(f"{asked} {word}")
        added = written[len(before) :] if written[: len(before)] == before else written
        if len(added) != 1 or encoder.unknown.intersection(added):
            raise PromptError(
                f"The verbalizer {word!r} of {task.title} is not one token for this model",
                expected="1 token of its own",
                got=f"{len(added)}: {' '.join(encoder.names(added))}",
                todo="Leave this task out of ⟨tasks⟩, or use a model with a larger vocabulary.",
            )
        ids.append(added[0])
    if len(set(ids)) != len(ids):
        raise PromptError(f"Two verbalizers of {task.title} are the same token for this model", got=str(ids))
    return tuple(ids)


def separator_tokens(task: Task, encoder: Encoder, separator: Separator) -> tuple[int, ...]:
    """The tokens between two demonstrations: the encoder's separator, or what it writes for a text in their place.

    An encoder that reads every line as a sentence of its own (fairseq's) writes its separator for both texts.

    Raises:
        PromptError: the vocabulary has no token for the text.
    """
    if separator not in SEPARATORS:
        return (encoder.separator,)
    asked, text = task.prompt(dict.fromkeys(task.fields, FILLERS[0])), SEPARATORS[separator]
    shown = f"{asked} {task.verbalizers[0]}"
    before = encoder.encode(shown)
    for behind in (asked, ""):  # alone, where the text behind is written in another way within a text
        written, end = encoder.encode(shown + text + behind), encoder.encode(behind)
        between = written[len(before) : len(written) - len(end)]
        if (*before, *between, *end) == written:
            break
    else:
        between = ()
    if not between or encoder.unknown.intersection(between):
        raise PromptError(
            f"This model cannot write the separator {separator}",
            expected="tokens of its own for it",
            got=" ".join(encoder.names(between)) or "none",
            todo="Leave out ⟨separator⟩: demonstrations are then separated by the model's own token.",
        )
    return between
