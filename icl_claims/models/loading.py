"""Load the causal language model of a folder, of transformers or of fairseq; only here a network is made of a file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, OPTConfig
from transformers.utils import logging as transformers_logging

from icl_claims.errors import ModelError
from icl_claims.models.fairseq import opt_config, opt_name, opt_network, opt_of_xglm, read_fairseq_checkpoint
from icl_claims.models.folder import checked_files, fairseq_files, files_digest, first_line, read_tokens
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.tokens import check_vocabulary, fingerprint, read_fairseq_tokens

ACTIVATIONS = ("gelu", "relu")
NEEDED_OPTIONS = {
    "decoder_normalize_before": True,
    "no_decoder_final_norm": False,
    "decoder_learned_pos": False,
    "no_token_positional_embeddings": False,
    "adaptive_input": False,
    "character_embeddings": False,
}
WITHOUT_WEIGHT = (".version", "._float_tensor", "embed_positions.weights")


def load_folder(folder: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The model in a folder that `save_pretrained` wrote.

    Raises:
        ModelError: no such folder, no weights or no tokenizer in it, damaged weights or others than the configuration
            asks for, or an architecture that is not supported.
    """
    files = checked_files(folder)
    network: Any
    try:
        with without_progress_bars():
            network, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                attn_implementation="eager",
                dtype=dtype,
                local_files_only=True,
                weights_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # transformers, safetensors and torch raise errors of many kinds here
        raise ModelError(
            f"The model in {folder} could not be loaded",
            expected="a causal language model of transformers",
            got=first_line(error),
            todo="If the file is truncated, download it again; docs/models.md lists the architectures that were tried.",
        ) from error
    check_weights(loading, str(folder))
    tokens = read_tokens(folder, name)
    check_vocabulary(tokens, network.get_input_embeddings().weight.shape[0], name)
    if network.config.model_type == "xglm":
        network = opt_of_xglm(network, source=str(folder))
    return LanguageModel(network.to(device), tokens, name=name, digest=files_digest(files, fingerprint(tokens)))


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """While open, transformers shows no progress bar."""
    progress_was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if progress_was_on:
            transformers_logging.enable_progress_bar()


def check_weights(loading: Mapping[str, Any], source: str) -> None:
    """Check that transformers found one value for every parameter, and no value without one.

    Raises:
        ModelError: some are missing, which transformers would leave at random, or left over, which it would drop.
    """
    for keys, problem, got in (
        (loading["missing_keys"], "are not all there", "none for {}, among them {}"),
        (loading["unexpected_keys"], "have no place in the model that config.json describes", "{} more, among them {}"),
    ):
        if keys:
            raise ModelError(
                f"The weights in {source} {problem}",
                expected="a value for every parameter that config.json asks for, and no other",
                got=got.format(len(keys), min(keys)),
                todo="Download the checkpoint again, with the config.json that belongs to it.",
            )


def load_fairseq(folder: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The dense language model of a fairseq folder, in this dtype whatever the checkpoint stores.

    Raises:
        ModelError: a file is missing, damaged or malicious, or the model is not a dense pre-norm decoder.
    """
    path = folder / "model.pt"
    options, tensors = read_fairseq_checkpoint(path)
    tokens, types = read_fairseq_tokens(folder)
    config = _config_of_options(options, types, path)
    version = tensors.get("decoder.version")
    if version is None or version.numel() != 1 or not float(version) >= 3:  # fairseq leaves that norm out
        got = "none" if version is None else str(version.tolist())
        raise _unsupported(path, "decoder.version", "3, which normalizes after the last block", got)
    weights = (key for key in tensors if not key.endswith(WITHOUT_WEIGHT))
    network = opt_network(
        config,
        {opt_name(key.removeprefix("decoder.")): tensors[key] for key in weights},
        scaled=not options.get("no_scale_embedding", False),
        shared=bool(options.get("share_decoder_input_output_embed", False)),
        device=device,
        dtype=dtype,
        source=str(path),
    )
    digest = files_digest(fairseq_files(folder), fingerprint(tokens))
    return LanguageModel(network, tokens, name=name, digest=digest)


def _config_of_options(options: Mapping[str, Any], types: int, path: Path) -> OPTConfig:
    """The shape in fairseq's options and the size of the dictionary; only that of a dense pre-norm decoder."""
    for option, needed in NEEDED_OPTIONS.items():
        if (got := options.get(option, needed)) != needed:
            raise _unsupported(path, option, str(needed), repr(got))
    activation = options.get("activation_fn")
    if activation not in ACTIVATIONS:
        raise _unsupported(path, "activation_fn", " or ".join(ACTIVATIONS), repr(activation))
    context = "max_target_positions" if options.get("max_target_positions") is not None else "tokens_per_sample"

    def number(option: str, most: int) -> int:
        value = options.get(option)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise _unsupported(path, option, f"a number from 1 to {most}", repr(value))
        return value

    return opt_config(
        num_hidden_layers=number("decoder_layers", 1000),
        num_attention_heads=number("decoder_attention_heads", 1000),
        hidden_size=number("decoder_embed_dim", 2**20),
        ffn_dim=number("decoder_ffn_embed_dim", 2**20),
        vocab_size=types,
        max_position_embeddings=number(context, 2**17),
        activation_function=activation,
    )


def _unsupported(path: Path, option: str, expected: str, got: str) -> ModelError:
    return ModelError(
        f"{path} was made with {option} that cannot be loaded",
        expected=expected,
        got=got,
        todo="Only dense decoders with pre-norm blocks and sinusoidal positions are OPT models in disguise.",
    )
