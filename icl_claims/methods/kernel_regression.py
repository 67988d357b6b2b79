"""Kernel regression: the demonstrations' labels, weighed by how alike their hidden states are to the query's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from icl_claims import metrics
from icl_claims.methods.base import Known, Learned, TrainingTokens
from icl_claims.models import LanguageModel, outputs_at
from icl_claims.models.layout import Layout
from icl_claims.tasks import Demonstrations, Queries

TEMPERATURES = (0.03, 0.1, 0.3, 1.0)
LEAST_PROBABILITY = 1e-6
"""What a label that no demonstration has is given, so that its logarithm is a number."""
_STATES = "states"


@dataclass(frozen=True)
class KernelRegression:
    """Answers with the labels of the demonstrations, each as heavy as its zero-shot hidden state is like the query's.

    Behind which block states are compared, and how sharply, is what predicts each demonstration's label best from all
    others; no query is looked at. The model's own activations and other tokens are those of zero-shot.

    >>> KernelRegression().name
    'kernel_regression'

    Source: after Han et al. 2023, on in-context learning as kernel regression (as reported); the kernel's form is ours.
    """

    name: ClassVar[str] = "kernel_regression"
    title: ClassVar[str] = "kernel regression on hidden states"
    learns_weights: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "The mean of the demonstrations' labels, weighed by a softmax over the cosines of the query's hidden state "
        "with theirs. Block and temperature are chosen on demonstrations."
    )
    formula: ClassVar[str] = r"\sum_i y_i\, e^{\cos(h_q, h_i)/T} \,/\, \sum_i e^{\cos(h_q, h_i)/T}"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the demonstrations' texts one by one, without labels, and choose block and temperature."""
        shown, classes = demonstrations.context_order, len(demonstrations.label_ids)
        rows, labels = zip(*((demonstrations.templates[i], demonstrations.labels[i]) for i in shown), strict=True)
        opening = model.read_prefix([demonstrations.bos])
        with torch.inference_mode():
            seen = model.activations(rows, opening, answer_at=-1, probe_at=-1, blocks=True)
        states = torch.stack([hidden.to(model.device) for hidden in seen.block_outputs]).float()
        layer, temperature = chosen(states, torch.tensor(labels, device=model.device), classes)
        known_states = {_STATES: states[layer].clone()}
        return Regressed(model, opening, states=known_states, labels=labels, layer=layer, temperature=temperature)


@dataclass(frozen=True, eq=False)
class Regressed(Learned):
    """Answers by the states and labels of demonstrations."""

    states: Mapping[str, Tensor] = field(kw_only=True)
    labels: tuple[int, ...] = field(kw_only=True)
    layer: int = field(kw_only=True)
    temperature: float = field(kw_only=True)

    def answer(self, queries: Queries, *, lens: bool = False, training: TrainingTokens | None = None) -> metrics.Answer:
        """Answer a batch of queries; their states come with zero-shot's own pass."""
        places = Layout(tuple(map(len, queries.rows)), self.model.device).packed_index(queries.answer_at)
        with outputs_at((self.model.blocks.modules[self.layer],), places) as seen:
            zero_shot = super().answer(queries, lens=lens, training=training)
        shown = self.states[_STATES]
        alike = cosines(seen[0].to(shown), shown)
        labels = one_hot(torch.tensor(self.labels, device=shown.device), len(queries.label_ids)).to(shown)
        said = predicted_probabilities(alike, labels, self.temperature)
        return replace(zero_shot, log_probabilities=said.clamp_min(LEAST_PROBABILITY).log())


def cosines(
    queries: Float[Tensor, "*layers queries hidden"], shown: Float[Tensor, "*layers demonstrations hidden"]
) -> Float[Tensor, "*layers queries demonstrations"]:
    """Cosines of states, less the mean of those of the demonstrations, which all states have in common."""
    common = shown.mean(dim=-2, keepdim=True)
    return normalize(queries - common, dim=-1) @ normalize(shown - common, dim=-1).transpose(-1, -2)


def predicted_probabilities(
    alike: Float[Tensor, "*layers queries demonstrations"],
    labels: Float[Tensor, "demonstrations classes"],
    temperature: float,
) -> Float[Tensor, "*layers queries classes"]:
    """The mean of the labels, weighed by the softmax of similarities over a temperature."""
    return (alike / temperature).softmax(-1) @ labels


def chosen(
    states: Float[Tensor, "layers demonstrations hidden"], labels: Int[Tensor, " demonstrations"], classes: int
) -> tuple[int, float]:
    """The layer and temperature with the least cross-entropy of each demonstration's label given all others.

    The first of equals; of a single demonstration the middle layer and the largest temperature.
    """
    layers, shown = states.shape[:2]
    if shown < 2:
        return layers // 2, TEMPERATURES[-1]
    alike = cosines(states, states).masked_fill(torch.eye(shown, dtype=torch.bool, device=states.device), -torch.inf)
    truth = one_hot(labels, classes).to(states)
    losses = torch.stack([_loss(predicted_probabilities(alike, truth, one), truth) for one in TEMPERATURES])
    best = int(losses.argmin())
    return best % layers, TEMPERATURES[best // layers]


def _loss(said: Tensor, truth: Tensor) -> Tensor:
    return -((said * truth).sum(-1).clamp_min(LEAST_PROBABILITY).log()).mean(-1)
