"""Dense language models as the papers' are, with random weights, made in place without any download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from icl_claims.models.fairseq import opt_config
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import draw_as_fairseq, seeded
from icl_claims.models.tokens import BOS, END_OF_LINE, PAD, SPECIAL, UNKNOWN, token_encoder
from icl_claims.tasks.catalogue import PAPERS_TASKS, TASKS
from icl_claims.tasks.sources import MINIATURE


@dataclass(frozen=True)
class Shape:
    """The shape of a dense language model of fairseq."""

    layers: int
    hidden: int
    inner: int
    heads: int
    words: int
    context: int

    @property
    def name(self) -> str:
        """For instance `dense: 24 layers, width 2048, 51200 words`."""
        return f"dense: {self.layers} layers, width {self.hidden}, {self.words} words"


PAPERS = Shape(layers=24, hidden=2048, inner=8192, heads=32, words=51200, context=2048)
"""That of the papers' model, 1.3 billion parameters.

Source: Artetxe et al. 2021, "Efficient Large Scale Language Modeling with Mixtures of Experts"."""
SMALLER = Shape(layers=6, hidden=512, inner=2048, heads=8, words=8192, context=2048)
"""One that a CPU answers with in seconds."""
SMALL = Shape(layers=2, hidden=32, inner=64, heads=4, words=8192, context=1024)
"""One for tests."""


def dense_network(shape: Shape, seed: int, device: torch.device, dtype: torch.dtype) -> Any:
    """A network with weights as fairseq draws them, on a device; it draws others on another kind of device."""
    config = opt_config(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        ffn_dim=shape.inner,
        vocab_size=shape.words,
        max_position_embeddings=shape.context,
        activation_function="gelu",
        dropout=0.0,
    )
    of_embeddings = {"scaled": True, "shared": True}
    with seeded(seed), torch.device(device):
        network: Any = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=dtype)
        draw_as_fairseq(network, **of_embeddings)
    network.config.fairseq = of_embeddings
    return network


def dense_model(shape: Shape, seed: int, device: torch.device, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """The same as the methods see it, with a tokenizer of whole words."""
    return as_model(dense_network(shape, seed, device, dtype), shape, seed)


def as_model(network: Any, shape: Shape, seed: int) -> LanguageModel:
    """A network as the methods see it; the digest names both, its dtype and its kind of device."""
    digest = f"{shape}, seed {seed}, {network.dtype}, {network.device.type}"
    return LanguageModel(network, token_encoder(word_tokenizer(), shape.name), name=shape.name, digest=digest)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """A token for every word and mark of the miniature tasks, and fairseq's special ones first."""
    splitter = pre_tokenizers.Whitespace()
    words = dict.fromkeys((*SPECIAL, *(word for text in _texts() for word, _ in splitter.pre_tokenize_str(text))))
    numbered = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(numbered, unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = splitter
    names = {"bos_token": BOS, "pad_token": PAD, "eos_token": END_OF_LINE, "unk_token": UNKNOWN}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{name: SPECIAL[number] for name, number in names.items()}
    )


def _texts() -> list[str]:
    tasks = [TASKS[name] for name in PAPERS_TASKS]
    said = [text for task in tasks for text in (task.template, task.paraphrase, *task.verbalizers)]
    read = [MINIATURE.read(task) for task in tasks]
    examples = [example for data in read for example in (*data.train, *data.validation)]
    return [*said, *(text for example in examples for text in example.fields.values())]


def save(network: Any, folder: Path) -> None:
    """Write a network and the tokenizer into a folder that the reference `path:DIR` names."""
    implementation = network.config._attn_implementation
    network.save_pretrained(folder)
    network.config._attn_implementation = implementation
    word_tokenizer().save_pretrained(folder)
