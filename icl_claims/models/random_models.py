"""Models with random weights: a tiny one of every supported family, and any model without its training."""

import copy
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from icl_claims.errors import ModelError
from icl_claims.models.families import FAMILIES
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.tokens import PAD, TokenEncoder

VOCABULARY = 61
CONTEXT = 64
BOS, EOS = 0, 2
FIRST_WORD = 3  # ids below are special

_SHAPE = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "hidden_size": 16,
    "num_attention_heads": 4,
    "bos_token_id": BOS,
    "pad_token_id": 1,
    "eos_token_id": EOS,
}

CONFIGURATIONS: dict[str, Mapping[str, Any]] = {
    family.model_type: {**_SHAPE, **family.tiny} for family in FAMILIES if family.tiny is not None
}
"""By the family's name in transformers, the fields of a tiny configuration, but for the number of blocks."""


def random_model(family: str, layers: int, seed: int, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """A transformer of a family with random weights, 16 hidden dimensions, 4 heads and 61 token ids.

    Its weights are large enough that every head attends unevenly and every layer matters. It has no tokenizer: give it
    ids from `FIRST_WORD` on.

    Raises:
        ModelError: an unknown family.
    """
    network = random_network(family, layers, seed).to(dtype)
    name = f"random:{family}:{layers}:{seed}"
    return LanguageModel(network, TokenEncoder(None, BOS, EOS), name=name, digest=f"{name}:{dtype}")


def random_network(family: str, layers: int, seed: int, *, attention: str = "eager") -> nn.Module:
    """The same transformer as transformers itself runs it, for instance with its own eager attention.

    Raises:
        ModelError: an unknown family.
    """
    if family not in CONFIGURATIONS:
        raise ModelError("Unknown family of random models", expected=", ".join(CONFIGURATIONS), got=repr(family))
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, num_hidden_layers=layers, **CONFIGURATIONS[family])
    with seeded(seed):  # transformers initialises from global state; what it draws is overwritten below
        network: nn.Module = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    fill_at_random(network, seed)
    return network.eval()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """While open, torch draws from a seed, on every device; afterwards its global state is what it was.

    All devices are named: torch warns where there are several and it is left to take them all.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def fill_at_random(module: nn.Module, seed: int) -> None:
    """Draw every parameter of a module again; each has a stream of its own name."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            stream = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{name}".encode()))  # torch reads 32 bits
            drawn = torch.randn(parameter.shape, generator=stream)
            is_scale = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.2 * drawn if is_scale else 0.3 * drawn)


Kept = Literal["nothing", "embeddings_norms_head", "norms"]
"""Trained weights of an untrained model: none; all but the blocks' projections (the authors' code); or the norms."""


def untrained(model: LanguageModel, keep: Kept, seed: int) -> LanguageModel:
    """The same architecture with weights as its own initialiser draws them, on the same devices and in the same dtype.

    The own initialiser of a dense language model of fairseq is fairseq's, though it runs as an OPT model here.

    Returns:
        A model with its own digest; a head tied to the embeddings is tied here, too.

    Source: the authors' code, last commit (random attention and feed-forward weights); in no table of either paper.
    """
    trained: Any = model.network
    with seeded(seed):  # transformers initialises from global state
        network: Any = type(trained)(copy.deepcopy(trained.config))
        if embeddings := getattr(trained.config, "fairseq", None):
            draw_as_fairseq(network, **embeddings)
    device_map = getattr(trained, "hf_device_map", None)
    if device_map is None:
        network.to(model.device)
    kept = _kept_parameters(model, keep)
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # not its buffers, which stay in single precision
            parameter.data = parameter.data.to(model.dtype)
            if name in kept:
                parameter.copy_(trained.get_parameter(name))
    digest = hashlib.sha256(f"{model.digest}, untrained, keeps {keep}, seed {seed}".encode()).hexdigest()
    name = f"{model.name}, untrained ({keep.replace('_', ', ')} kept)"
    made = LanguageModel(network, model.tokens, name=name, digest=digest)
    if device_map is None:
        return made
    from icl_claims.models.reference import dispatch

    return dispatch(made, device_map)


def draw_as_fairseq(network: Any, *, scaled: bool, shared: bool) -> None:
    """Draw all weights as fairseq's modules draw theirs; norms are as they begin everywhere.

    The matrix of embeddings may be scaled as it is read, and shared with the head; positions are no weights.

    Source: fairseq 0.12, `MultiheadAttention.reset_parameters`, `TransformerDecoderBase` and `transformer.Embedding`.
    """
    from icl_claims.models.fairseq import sinusoidal_table

    decoder, hidden = network.model.decoder, network.config.hidden_size
    with torch.no_grad():
        for layer in decoder.layers:
            attention = layer.self_attn
            for linear in (attention.q_proj, attention.k_proj, attention.v_proj, layer.fc1, layer.fc2):
                linear.reset_parameters()  # torch's own, weights and biases
            for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
                nn.init.xavier_uniform_(linear.weight, gain=0.5**0.5)
            nn.init.xavier_uniform_(attention.out_proj.weight)
            attention.out_proj.bias.zero_()
        head, embeddings = network.lm_head.weight, decoder.embed_tokens.weight
        head.normal_(std=hidden**-0.5)
        embeddings.copy_(head if shared else torch.randn_like(head) * hidden**-0.5)
        embeddings[PAD] = 0
        head.copy_(embeddings if shared else head)
        embeddings.mul_(hidden**0.5 if scaled else 1.0)
        decoder.embed_positions.weight.copy_(sinusoidal_table(network.config.max_position_embeddings, hidden))


def _kept_parameters(model: LanguageModel, keep: Kept) -> set[str]:
    """Names of the parameters that stay as trained."""
    if keep == "nothing":
        return set()
    norms = {
        f"{name}.{own}"
        for name, module in model.network.named_modules()
        if "norm" in type(module).__name__.lower()
        for own, _ in module.named_parameters(recurse=False)
    }
    if keep == "norms":
        return norms
    blocks = tuple(f"{name}." for name in model.blocks.names)
    outside = {name for name, _ in model.network.named_parameters() if not name.startswith(blocks)}
    return norms | outside
