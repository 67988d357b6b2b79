"""A tiny random model of every causal architecture of transformers: is it right here, refused in words, or neither?

`python -m tests.slow.architectures` tries them all and writes docs/models.md.
"""

from __future__ import annotations

import copy
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from icl_claims.errors import ModelError
from icl_claims.models.fairseq import opt_of_xglm
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import BOS, EOS, fill_at_random
from icl_claims.models.tokens import TokenEncoder

TYPES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
PAGE = Path(__file__).parents[2] / "docs" / "models.md"
WORDS = {"right": "Right", "refused": "Refused", "unbuilt": "Could not be built", "wrong": "Wrong", "raw": "Raw error"}
LIMIT = 1e-3
LARGEST = 30_000_000  # parameters: a larger one has a part that no field below makes small

OF_SIZE = {
    32: "hidden_size n_embd d_model dim embed_dim emb_dim word_embed_proj_dim",
    48: "intermediate_size ffn_dim d_ff n_inner ffn_hidden_size decoder_ffn_dim encoder_ffn_dim",
    24: "moe_intermediate_size shared_expert_intermediate_size",
    3: "num_hidden_layers n_layer num_layers n_layers decoder_layers encoder_layers",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads attention_heads "
    "num_experts num_local_experts n_routed_experts moe_num_experts rotary_dim qk_rope_head_dim qk_nope_head_dim "
    "mamba_n_heads",
    2: "num_key_value_heads num_experts_per_tok moe_k moe_topk mamba_expand eos_token_id",
    8: "head_dim hidden_size_per_layer_input kv_lora_rank q_lora_rank v_head_dim mamba_d_state",
    64: "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length max_target_positions",
    1: "n_shared_experts n_group topk_group first_k_dense_replace pad_token_id",
    61: "vocab_size vocab_size_per_layer_input",
    16: "mamba_d_head",
    7: "sliding_window",
    0: "bos_token_id",
}
SMALL: dict[str, Any] = {name: size for size, names in OF_SIZE.items() for name in names.split()}
SMALL["tie_word_embeddings"] = False
INSTEAD: tuple[dict[str, Any], ...] = (
    {},
    {"num_key_value_heads": 4},
    {"head_dim": 8},
    {"num_experts_per_tok": 1},
    {"head_dim": None},
    {"num_key_value_heads": None},
    {"num_key_value_heads": 4, "head_dim": 12},
    {"num_hidden_layers": None},
)
"""What is tried, one after the other, until a model of the type is made and answers; None leaves a field as it is."""
FIELDS: Mapping[str, Mapping[str, Any]] = {
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_groups": 1},
    "gpt_neo": {"attention_types": [[["global"], 3]]},
    "xmod": {"default_language": "en_XX"},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "zaya": {"num_experts_per_tok": 1, "num_key_value_heads": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "deepseek_v3": {"head_dim": 4, "num_key_value_heads": 4},
    "youtu": {"head_dim": 4, "num_key_value_heads": 4},
    "axk1": {"head_dim": 4, "num_key_value_heads": 4},
}
"""What single types need besides."""


@dataclass(frozen=True)
class Tried:
    """What became of a type: an outcome of `WORDS`, and the reason or the deviation in words."""

    kind: str
    outcome: str
    words: str


def try_type(kind: str) -> Tried:
    """Build a tiny model of a type and compare it on prompts of its own, unless it is refused."""
    try:
        network = built(kind)
    except Exception as error:  # a type that this machine or this project cannot build
        return Tried(kind, "unbuilt", first_line(error))
    try:
        model = LanguageModel(network, TokenEncoder(None, BOS, EOS), name=kind, digest="")
        deviation = deviation_from_eager(model)
    except ModelError as error:
        return Tried(kind, "refused", str(error).split(" Use another model")[0])
    except Exception as error:
        return Tried(kind, "raw", first_line(error))
    return Tried(kind, "right" if deviation < LIMIT else "wrong", f"{deviation:.1g}")


def built(kind: str) -> nn.Module:
    """A tiny network of a type with random weights, that answers by itself."""
    errors = []
    for config in configurations(kind):
        try:
            with torch.device("meta"):
                shape = AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation="eager")
            if (size := sum(parameter.numel() for parameter in shape.parameters())) > LARGEST:
                raise ValueError(f"{size:,} parameters")
            network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
            fill_at_random(network, 0)
            with torch.inference_mode():
                network(torch.tensor([[BOS, 5, 6]]), use_cache=False)
        except Exception as error:  # the next configuration may do
            errors.append(error)
        else:
            return opt_of_xglm(network, kind) if kind == "xglm" else network
    raise errors[0]


def configurations(kind: str) -> Iterator[Any]:
    """Configurations of a type with everything small, one after the other until one will do."""
    defaults = CONFIG_MAPPING[kind]().to_dict()
    defaults.pop("model_type", None)
    of_decoder = {"is_decoder": True} if "is_decoder" in defaults else {}
    for instead in INSTEAD:
        fields = {**shrunk(defaults), **instead, **of_decoder, **FIELDS.get(kind, {})}
        yield CONFIG_MAPPING[kind](**{name: value for name, value in fields.items() if value is not None})


def shrunk(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that make it small, also those of the configurations in it."""
    small = {name: SMALL[name] for name, value in defaults.items() if name in SMALL and value is not None}
    inside = {n: shrunk(value) for n, value in defaults.items() if n.endswith("config") and isinstance(value, dict)}
    model_type = {"model_type": defaults["model_type"]} if defaults.get("model_type") else {}
    return {**small, **inside, **model_type}


def deviation_from_eager(model: LanguageModel) -> float:
    """The largest deviation of logits from the network's own eager attention, in their standard deviations.

    The prompts are others than those of the model's own check, and as long as its context.
    """
    ids = torch.randint(3, 61, (model.context_length,), generator=torch.Generator().manual_seed(1)).tolist()
    prefix, rows = [BOS, *ids[: -(model.context_length // 4)]], [ids[at : at + at // 2 + 1] for at in (1, 7, 20)]
    room = model.context_length - len(prefix)
    rows = [row[:room] for row in rows]
    packed = model.answer(rows, model.read_prefix(prefix), answer_at=-1, probe_at=-1).logits
    network: Any = model.network
    network.set_attn_implementation("eager")
    with torch.inference_mode():
        plain: Tensor = torch.stack(
            [network(torch.tensor([[*prefix, *row]]), use_cache=False).logits[0, -1] for row in rows]
        )
    return float((packed - plain).abs().max() / plain.std())


def first_line(error: Exception) -> str:
    """The kind of an error and the beginning of its text."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


def page(tried: list[Tried]) -> str:
    """The page of the documentation."""
    counts = Counter(result.outcome for result in tried)
    lines = [
        "# Models",
        "",
        f"A tiny model with random weights of each of the {len(tried)} causal language models that transformers "
        f"{transformers.__version__} knows was given to `LanguageModel`, and its answers to queries packed behind a "
        "prefix were compared with its own eager attention on plain prompts. `python -m tests.slow.architectures` made "
        "this page.",
        "",
        "; ".join(f"{WORDS[outcome].lower()}: {counts[outcome]}" for outcome in WORDS) + ".",
    ]
    for outcome, title in WORDS.items():
        of_kind = [result for result in tried if result.outcome == outcome]
        if not of_kind:
            continue
        lines += ["", f"## {title}", ""]
        if outcome == "right":
            lines += [", ".join(f"`{result.kind}`" for result in of_kind) + "."]
        else:
            lines += ["| type | why |", "|---|---|"]
            lines += [f"| `{result.kind}` | {re.sub('[|]', '/', result.words)} |" for result in of_kind]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    results = []
    for kind in sys.argv[1:] or TYPES:
        results.append(try_type(kind))
        sys.stdout.write(" ".join(vars(results[-1]).values()) + "\n")
    sys.stdout.write(f"{Counter(result.outcome for result in results)}\n")
    if not sys.argv[1:]:
        PAGE.write_text(page(results), encoding="utf-8")
