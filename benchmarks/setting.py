"""The setting of a measurement: a model, prompts of a task, and their number."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from transformers import AutoModelForCausalLM

from benchmarks.dense import PAPERS, dense_model
from icl_claims.experiments.batches import TOKENS_ON_CUDA, TOKENS_PER_BATCH
from icl_claims.experiments.profiles import PROFILES
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import seeded
from icl_claims.models.reference import find_device, load_model
from icl_claims.storage.files import Say
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Draw, TaskData
from icl_claims.tasks.prompts import Demonstrations, Prompts, Queries, build_prompts

TASK = "sst5"  # its queries have 28 tokens on average, as have those of the papers' shorter tasks
SEED = 1


@dataclass(frozen=True)
class Size:
    """How large a trial is: its demonstrations and its queries."""

    demonstrations: int
    queries: int


@dataclass(frozen=True)
class Effort:
    """The size of a measurement.

    Args:
        rounds: number of rounds in which both sides take turns.
        queries: number of queries that ours answers.
        prompts: number of prompts of the reference, independent of each other, so a prompt's seconds are a query's.
        context: tokens of the demonstrations in the context.
        contexts: other lengths of the context.
        numbers: other numbers of queries.
        trial: size of a trial that both sides run as a whole, in one round less; the papers had 32 demonstrations.
        small_trial: size of a trial that is run in one process and in two.
        memory_trial: size of a trial of every method, whose memory is measured.
        steps: numbers of steps of finetuning and of layer-causal finetuning, which projects onto the vocabulary at
            every layer.
    """

    rounds: int
    queries: int
    prompts: int
    context: int
    contexts: tuple[int, ...]
    numbers: tuple[int, ...]
    trial: Size
    small_trial: Size
    memory_trial: Size
    steps: tuple[int, int]


FULL = Effort(
    rounds=3,
    queries=64,
    prompts=2,
    context=1000,
    contexts=(250, 500, 2000),
    numbers=(16, 32, 128),
    trial=Size(32, 64),
    small_trial=Size(8, 16),
    memory_trial=Size(8, 16),
    steps=(8, 2),
)
QUICK = Effort(
    rounds=1,
    queries=4,
    prompts=1,
    context=40,
    contexts=(20,),
    numbers=(2,),
    trial=Size(3, 4),
    small_trial=Size(2, 3),
    memory_trial=Size(2, 3),
    steps=(2, 1),
)


@dataclass(frozen=True, eq=False)
class Setting:
    """A model and what it is asked.

    Args:
        model: that is measured.
        effort: size of the measurement.
    """

    model: LanguageModel
    effort: Effort

    @property
    def learning_rate(self) -> float:
        """Of every method that takes steps: it moves weights by far more than rounding.

        At three times as much the loss rises for some steps, and rounding grows thousandfold with it, on both sides.
        """
        return PROFILES["tiny"].learning_rates[TASK] if self.model.name == "tiny" else 0.003

    @cached_property
    def data(self) -> TaskData:
        """The examples of the model's own profile, or those of the embedded model's."""
        return PROFILES.get(self.model.name, PROFILES["embedded"]).source.read(TASKS[TASK])

    @cached_property
    def prompts(self) -> Prompts:
        """As many demonstrations as fit the model, and all queries."""
        return build_prompts(
            self.data,
            self.model.tokens,
            Draw(len(self.data.train), SEED),
            context_length=self.model.context_length,
        )

    def demonstrations(self, tokens: int) -> Demonstrations:
        """So many of the demonstrations that their context has about so many tokens, but not more."""
        shown = self.prompts.demonstrations
        while len(shown.context) > tokens:
            shown = replace(shown, context_order=shown.context_order[:-1])
        return shown

    def queries(self, number: int) -> Queries:
        """The first queries."""
        return self.prompts.queries.some(range(min(number, len(self.prompts.queries))))

    def with_layers(self, layers: int) -> Setting:
        """The same prompts for a model of the same shape but with so many layers, and random weights."""
        config: Any = deepcopy(self.model.network.config)
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
        with seeded(SEED):
            network = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=self.model.dtype)
        network.to(self.model.device)
        name = f"{self.model.name} with {layers} layers"
        other = Setting(LanguageModel(network, self.model.tokens, name=self.model.name, digest=name), self.effort)
        other.__dict__.update(data=self.data, prompts=self.prompts)
        return other


def load(name: str, device: str, say: Say = lambda _text: None) -> LanguageModel:
    """The model of a reference, or `dense`: one of the papers' shape with random weights, which needs no checkpoint.

    Raises:
        ModelError: no such model or device.
    """
    if name in ("dense", PAPERS.name):
        say(f"Making a model with random weights, {PAPERS.name}.")
        return dense_model(PAPERS, SEED, find_device(device))
    return load_model(name, device=device, say=say)


def tokens_per_batch(model: LanguageModel) -> int:
    """The tokens of queries that a trial answers at once where memory allows."""
    return TOKENS_ON_CUDA if model.device.type == "cuda" else TOKENS_PER_BATCH


def spread_by_length(queries: Queries, number: int) -> list[int]:
    """Indices of queries from short to long, evenly."""
    by_length = sorted(range(len(queries)), key=lambda i: len(queries.rows[i]))
    return [by_length[(2 * place + 1) * len(by_length) // (2 * number)] for place in range(number)]
