"""How many tokens of queries are answered at once: as many as pay on the device and fit its free memory."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
import torch

from icl_claims.experiments.batches import TOKENS_PER_BATCH
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.prompts import Prompts

ON_CUDA = 8192
LEAST = 64
SHARE = 0.5  # of the free memory, of which this is only an estimate
PROMPTED = 2  # zero-shot and in-context learning, which are in every trial


def tokens_that_fit(model: LanguageModel, prompts: Prompts, compared: int) -> int:
    """The tokens of a batch of a trial; a power of two times the least, so that little less memory changes nothing.

    Args:
        model: on its device.
        prompts: of the trial.
        compared: how many methods answer beside zero-shot and in-context learning.
    """
    tokens, free = ON_CUDA if model.device.type == "cuda" else TOKENS_PER_BATCH, free_memory(model.device)
    while tokens > LEAST and batch_memory(model, [prompts], compared, tokens) > SHARE * free:
        tokens //= 2
    return tokens


def batch_memory(model: LanguageModel, prompts: Sequence[Prompts], compared: int, tokens: int) -> int:
    """About how many bytes the largest batch of some trials holds at once, the weights aside."""
    size, config = model.dtype.itemsize, model.config
    context = max(len(asked.demonstrations.context) for asked in prompts)
    lengths = [len(row) for asked in prompts for row in asked.queries.rows]
    batch = max(tokens, max(lengths))
    rows = batch // min(lengths)
    heads, hidden, vocabulary = int(config.num_attention_heads), int(config.hidden_size), int(config.vocab_size)
    scores = heads * batch * (context + max(lengths)) * (3 * 4 + size)  # float32, before, after and by the softmax
    answers = (PROMPTED + compared) * model.layers * rows * (hidden + heads * max(lengths)) * size
    over_demonstrations = model.layers * heads * rows * context * size
    return scores + answers + over_demonstrations + rows * vocabulary * (size + 2 * 4)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or that torch holds there for nothing yet."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + int(reserved)
    return int(psutil.virtual_memory().available)
