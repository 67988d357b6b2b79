"""fairseq's dense language models, and their XGLM form on the Hub, are OPT models in disguise.

The position embedding is the sinusoidal table (offset 2), the input embedding sqrt(hidden) times the matrix, and the
head the matrix itself, untied; all else has the same place under another name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModelForCausalLM, OPTConfig, PreTrainedModel

from icl_claims.errors import ModelError
from icl_claims.models.attention import registered_attention
from icl_claims.models.tokens import BOS, END_OF_LINE, PAD

OFFSET = 2  # the position of the first token: pad index + 1


@dataclass(frozen=True)
class DenseShape:
    """The shape of a dense language model, against which its tensors are checked."""

    layers: int
    heads: int
    hidden: int
    inner: int
    vocabulary: int
    context: int
    activation: str = "gelu"
    scaled: bool = True
    shared: bool = True

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, under OPT's names without their prefix."""
        square, narrow = (self.hidden, self.hidden), (self.hidden,)
        block: dict[str, tuple[int, ...]] = {f"self_attn.{name}_proj.weight": square for name in ("q", "k", "v", "out")}
        block |= {f"self_attn.{name}_proj.bias": narrow for name in ("q", "k", "v", "out")}
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            block |= {f"{norm}.weight": narrow, f"{norm}.bias": narrow}
        block |= {"fc1.weight": (self.inner, self.hidden), "fc1.bias": (self.inner,)}
        block |= {"fc2.weight": (self.hidden, self.inner), "fc2.bias": narrow}
        shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (self.vocabulary, self.hidden)}
        shapes |= {f"layers.{i}.{name}": shape for i in range(self.layers) for name, shape in block.items()}
        shapes |= {"final_layer_norm.weight": narrow, "final_layer_norm.bias": narrow}
        return {**shapes, "head.weight": (self.vocabulary, self.hidden)}


def opt_of_xglm(network: PreTrainedModel, source: str) -> PreTrainedModel:
    """The same model as OPT, on the same device and in the same dtype."""
    config: Any = network.config
    shape = DenseShape(
        layers=config.num_layers,
        heads=config.attention_heads,
        hidden=config.d_model,
        inner=config.ffn_dim,
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
        activation=config.activation_function,
        scaled=config.scale_embedding,
        shared=False,
    )
    tensors = {opt_name(key.removeprefix("model.")): tensor for key, tensor in network.state_dict().items()}
    return opt_network(shape, tensors, device=network.device, dtype=network.dtype, source=source)


def opt_network(
    shape: DenseShape, tensors: Mapping[str, Tensor], *, device: torch.device, dtype: torch.dtype, source: str
) -> PreTrainedModel:
    """An OPT model of these tensors, run through our attention function.

    Args:
        shape: checked against every tensor before anything is built.
        tensors: under OPT's names without their prefix; `head.weight` is the head.
        device: device of the model.
        dtype: dtype of its parameters.
        source: its name in errors.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """
    given = dict(tensors)
    if shape.shared:
        given.setdefault("head.weight", given.get("embed_tokens.weight", torch.empty(0)))
    _check_tensors(shape.tensors(), given, source)
    if shape.shared and not torch.equal(given["head.weight"], given["embed_tokens.weight"]):
        raise _wrong_tensor(source, "has a head other than the embedding that it shares", "two equal tensors", "others")
    if shape.hidden % shape.heads:
        raise ModelError(f"{source} has {shape.heads} heads", expected=f"a divisor of {shape.hidden}, its hidden size")
    config = OPTConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        word_embed_proj_dim=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        ffn_dim=shape.inner,
        max_position_embeddings=shape.context,
        activation_function=shape.activation,
        tie_word_embeddings=False,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=END_OF_LINE,
    )
    with torch.device("meta"):
        network: Any = AutoModelForCausalLM.from_config(config, attn_implementation=registered_attention(), dtype=dtype)
    head = given.pop("head.weight")
    matrix = given.pop("embed_tokens.weight").float() * (math.sqrt(shape.hidden) if shape.scaled else 1.0)
    given |= {"embed_tokens.weight": matrix, "embed_positions.weight": sinusoidal_table(shape.context, shape.hidden)}
    state = {f"model.decoder.{name}": tensor for name, tensor in given.items()} | {"lm_head.weight": head}
    own = {name: tensor.detach().to(device, dtype, copy=True) for name, tensor in state.items()}
    network.load_state_dict(own, assign=True)
    built: PreTrainedModel = network
    return built


def sinusoidal_table(context: int, hidden: int) -> Float[Tensor, "positions hidden"]:
    """The position embedding: row p is [sin(p w_0), sin(p w_1), ..., cos(p w_0), cos(p w_1), ...].

    The frequencies w fall from 1 to 1/10000 in a geometric series of hidden // 2 numbers. The rows below `OFFSET` are
    never read, and an odd last column is 0.

    Source: Tensor2Tensor's form of Vaswani et al. 2017, section 3.5, as fairseq has it.
    """
    half = hidden // 2
    frequency = torch.exp(torch.arange(half, dtype=torch.float) * -(math.log(10000) / max(half - 1, 1)))
    angle = torch.arange(context + OFFSET, dtype=torch.float)[:, None] * frequency
    table = torch.cat([angle.sin(), angle.cos(), torch.zeros(len(angle), hidden % 2)], dim=1)
    table[PAD] = 0
    return table


def opt_name(name: str) -> str:
    """OPT's name of a tensor of fairseq or XGLM, all without their prefixes; the head is `head.weight`."""
    if name in ("output_projection.weight", "lm_head.weight"):
        return "head.weight"
    return f"final_{name}" if name.startswith("layer_norm.") else name


def _check_tensors(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], source: str) -> None:
    for name, shape in wanted.items():
        if name not in given:
            raise _wrong_tensor(source, f"lacks {name}", str(shape), "no such tensor")
        if (got := tuple(given[name].shape)) != shape:
            raise _wrong_tensor(source, f"has {name} of another shape", str(shape), str(got))
    if unknown := sorted(set(given) - set(wanted)):
        raise _wrong_tensor(source, "holds tensors without a place in a dense decoder", "none", ", ".join(unknown[:3]))


def _wrong_tensor(source: str, problem: str, expected: str, got: str) -> ModelError:
    return ModelError(
        f"{source} {problem}",
        expected=expected,
        got=got,
        todo="Download it again, with the dict.txt and the options that belong to it; other models cannot be loaded.",
    )
