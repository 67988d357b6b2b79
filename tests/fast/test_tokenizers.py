"""Tokenizers of several kinds write prompts as their models read them, or are refused with what they write."""

from __future__ import annotations

import json
from typing import get_args

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from icl_claims.errors import ModelError, PromptError
from icl_claims.methods import InContext
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import random_network
from icl_claims.models.tokens import check_vocabulary, fingerprint, token_encoder
from icl_claims.protocol import Protocol, Separator
from icl_claims.tasks import PAPERS_TASKS, TASKS, Draw, build_prompts, read_task
from icl_claims.tasks.encoding import label_tokens, separator_tokens

SPECIAL = ["<unk>", "<s>", "</s>"]
WORDS = [word for name in PAPERS_TASKS for word in TASKS[name].verbalizers]
TEXTS = [
    f"{task.prompt(dict.fromkeys(task.fields, 'text'))} {word}" for task in TASKS.values() for word in task.verbalizers
]


def trained(model, pre_tokenizer, texts, special=SPECIAL, alphabet=()):
    """A BPE that learned every word of some texts."""
    plain = Tokenizer(model)
    plain.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=special, initial_alphabet=list(alphabet), show_progress=False
    )
    plain.train_from_iterator(texts, trainer)
    return plain


@pytest.fixture(scope="module")
def pieces():
    """Vocabulary and merges as SentencePiece has them: every word with a ▁ for the blank before it."""
    every = [example.fields for name in PAPERS_TASKS for example in read_task(name).train]
    letters = sorted({letter for fields in every for text in fields.values() for letter in text})
    learned = trained(models.BPE(unk_token="<unk>"), pre_tokenizers.Metaspace(), TEXTS, alphabet=letters)
    return json.loads(learned.to_str())["model"]


@pytest.fixture(scope="module", params=["prepended", "metaspace"])
def llama(request, pieces):
    """Llama's tokenizer in both of its forms; either puts a ▁ before a text, whatever stands before that."""
    merges = [tuple(merge) for merge in pieces["merges"]]
    if request.param == "metaspace":
        return LlamaTokenizer(vocab=pieces["vocab"], merges=merges)
    plain = Tokenizer(models.BPE(pieces["vocab"], merges, unk_token="<unk>", fuse_unk=True))
    plain.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    plain.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("name", PAPERS_TASKS)
def test_sentencepiece_models_are_asked_every_task(llama, pieces, name):
    tokens, data = token_encoder(llama, "llama"), read_task(name)
    network = random_network("llama", 2, 0)
    network.resize_token_embeddings(len(pieces["vocab"]), mean_resizing=False)
    model = LanguageModel(network, tokens, name="llama", digest="")
    protocol = Protocol(truncation="both")
    prompts = build_prompts(data, tokens, Draw(2, queries=3), protocol, context_length=10_000)
    wanted = tuple(pieces["vocab"][f"▁{word}"] for word in data.task.verbalizers)
    assert prompts.queries.label_ids == wanted
    for row, ids in zip(prompts.demonstration_rows, prompts.demonstrations.sequences, strict=True):
        example = next(one for one in data.train if one.row == row)
        written = f"{data.task.prompt(example.fields)} {data.task.verbalizers[example.label]}"
        assert ids == (1, *llama(written, add_special_tokens=False)["input_ids"])
    model.context_length = 10_000
    answer = InContext().learn(model, prompts.demonstrations).answer(prompts.queries)
    assert torch.isfinite(torch.as_tensor(answer.log_probabilities)).all()


# Label words


@pytest.fixture(scope="module")
def byte_level():
    """GPT-2's kind of tokenizer, which knows the tasks' words and has `<|endoftext|>`, OPT's special tokens too."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<|endoftext|>"]
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return trained(models.BPE(), split, TEXTS, special, alphabet)


def test_labels_of_gpt2s_kind_are_the_words_with_a_blank(byte_level):
    tokens = token_encoder(PreTrainedTokenizerFast(tokenizer_object=byte_level, eos_token="<|endoftext|>"), "gpt2")
    for task in (TASKS[name] for name in PAPERS_TASKS):
        assert label_tokens(task, tokens) == tuple(byte_level.encode(f" {word}").ids[0] for word in task.verbalizers)


def test_lines_between_demonstrations_are_written_as_within_a_text(byte_level):
    tokens = token_encoder(PreTrainedTokenizerFast(tokenizer_object=byte_level, eos_token="<|endoftext|>"), "gpt2")
    (line,) = byte_level.encode("\n").ids
    for task in (TASKS[name] for name in PAPERS_TASKS):
        found = {separator: separator_tokens(task, tokens, separator) for separator in get_args(Separator)}
        assert found == {"end_of_text": (tokens.separator,), "newline": (line,), "blank_line": (line, line)}


def test_a_text_that_the_vocabulary_lacks_cannot_separate(llama):
    with pytest.raises(PromptError, match=r"cannot write the separator newline: .* Leave out"):
        separator_tokens(TASKS["sst2"], token_encoder(llama, "llama"), "newline")


def test_a_label_of_several_tokens_is_refused_with_them(pieces):
    vocab = {word: index for word, index in pieces["vocab"].items() if word != "▁Positive"}
    merges = [tuple(merge) for merge in pieces["merges"] if "".join(merge) != "▁Positive"]
    tokens = token_encoder(LlamaTokenizer(vocab=vocab, merges=merges), "llama")
    with pytest.raises(
        PromptError, match=r"'Positive' of SST2 is not one token .* expected 1 token of its own, got \d: ▁"
    ):
        label_tokens(TASKS["sst2"], tokens)


def words_of(*words, unk="<unk>", declared="<unk>"):
    plain = Tokenizer(models.WordLevel({word: index for index, word in enumerate([*SPECIAL, *words])}, unk_token=unk))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", eos_token="</s>", unk_token=declared)


@pytest.mark.parametrize("declared", ["<unk>", None])
def test_a_label_that_the_vocabulary_lacks_is_refused(declared):
    tokens = token_encoder(words_of("Positive", "Label:", declared=declared), "words")
    with pytest.raises(PromptError, match=r"'Negative' of SST2 is not one token .* got 1: <unk>"):
        label_tokens(TASKS["sst2"], tokens)


# Special tokens


def test_an_opt_tokenizer_separates_by_what_it_declares(byte_level):
    opt = PreTrainedTokenizerFast(tokenizer_object=byte_level, bos_token="</s>", eos_token="</s>", pad_token="<pad>")
    assert "<|endoftext|>" in opt.get_vocab()
    tokens = token_encoder(opt, "opt")
    assert tokens.encode("</s>") != (tokens.separator,)
    assert (tokens.bos, tokens.separator) == (2, 2)


@pytest.mark.parametrize(
    ("marker", "end"),
    [
        ("<|im_end|>", "<|endoftext|>"),
        ("<|eot_id|>", "<|end_of_text|>"),
        ("<end_of_turn>", "<eos>"),
        ("<|end_of_turn|>", "</s>"),
    ],
)
def test_a_chat_model_separates_as_in_its_pretraining(marker, end):
    chat = words_of(*{marker, end, "<bos>"} - set(SPECIAL))
    chat.eos_token, chat.bos_token = marker, "<bos>"
    tokens = token_encoder(chat, "chat")
    assert tokens.names([tokens.bos, tokens.separator]) == ["<bos>", end]


def test_a_chat_model_without_another_token_keeps_its_own():
    plain = Tokenizer(models.WordLevel({"<|im_end|>": 0, "a": 1}, unk_token="a"))
    tokens = token_encoder(PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<|im_end|>"), "chat")
    assert (tokens.bos, tokens.separator) == (0, 0)


def test_the_name_of_a_special_token_in_a_text_is_text():
    tokens = token_encoder(words_of("warm"), "words")
    assert tokens.encode("warm") == (3,)
    written = token_encoder(PreTrainedTokenizerFast(tokenizer_object=letters(), eos_token="</s>"), "letters")
    assert written.separator not in written.encode("a </s> b")


def letters():
    plain = Tokenizer(models.BPE({letter: index for index, letter in enumerate("</>sab ")}, []))
    plain.add_special_tokens(["</s>"])
    return plain


# Vocabularies and embeddings


@pytest.mark.parametrize(
    ("rows", "added", "match"),
    [
        (4, None, "expected ids below 4, got 1 above, such as 4 for 'dull'"),
        (2, None, "got 3 above, such as 2 for '</s>'"),
        (5, AddedToken("<tool>", special=False), "such as 5 for '<tool>'"),
    ],
)
def test_tokens_without_an_embedding_are_refused(rows, added, match):
    tokenizer = words_of("warm", "dull")
    if added is not None:
        tokenizer.add_tokens([added])
    with pytest.raises(ModelError, match=match):
        check_vocabulary(token_encoder(tokenizer, "words"), rows, "words")


def test_a_special_token_that_no_text_writes_needs_no_embedding():
    tokenizer = words_of("warm", "dull")
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    check_vocabulary(token_encoder(tokenizer, "words"), 5, "words")


# Fingerprints


def test_a_fingerprint_tells_what_a_tokenizer_does(llama, pieces, byte_level):
    found = fingerprint(token_encoder(llama, "llama"))
    other = LlamaTokenizer(vocab=pieces["vocab"], merges=[tuple(merge) for merge in pieces["merges"]][:-40])
    assert found == fingerprint(token_encoder(llama, "again"))
    assert found != fingerprint(token_encoder(other, "llama"))
    gpt2 = [PreTrainedTokenizerFast(tokenizer_object=byte_level, eos_token=end) for end in ("</s>", "<|endoftext|>")]
    assert len({fingerprint(token_encoder(one, "gpt2")) for one in gpt2}) == 2
