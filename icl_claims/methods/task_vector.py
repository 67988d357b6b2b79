"""A task vector: what a method made of demonstrations, as one hidden state that is put into a zero-shot pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from icl_claims import metrics
from icl_claims.methods.base import Known, Learned, Method, TrainingTokens
from icl_claims.methods.prompting import InContext
from icl_claims.models import LanguageModel, output_replaced
from icl_claims.models.layout import Layout
from icl_claims.tasks import Demonstrations, Queries

DEPTHS = 6
"""Among the outputs of so many blocks, evenly spaced from the first to the last, one is chosen."""
_STATE = "state"


@dataclass(frozen=True)
class TaskVector:
    """Zero-shot, but for one hidden state that a method gave at the answer of another query.

    The other query is the last demonstration in the context, without its label, asked after the method has learned from
    all others. Its hidden state behind one block takes the place of every query's own, at the position of the answer.
    Behind which block is chosen on the remaining demonstrations, asked without their labels; no query is looked at.

    >>> TaskVector().name, TaskVector(state="gaussian").title
    ('task_vector', 'a Gaussian vector in the place of the task vector')

    Args:
        of: whose state it is.
        state: its own, or as a control a Gaussian one of the same length, at the same block.

    Source: Hendel et al. 2023, In-Context Learning Creates Task Vectors (as reported); the choice of the block is ours.
    """

    of: Method = field(default_factory=InContext)
    state: Literal["own", "gaussian"] = "own"
    learns_weights: ClassVar[bool] = False
    definition: ClassVar[str] = (
        "One hidden state, which the model has at the answer of another query with the demonstrations, in a zero-shot "
        "pass. The block is chosen on demonstrations."
    )

    @property
    def name(self) -> str:
        """`task_vector`, `task_vector_of_finetuning`, `gaussian_task_vector`, ..."""
        whose = "" if isinstance(self.of, InContext) else f"_of_{self.of.name}"
        return ("gaussian_" if self.state == "gaussian" else "") + "task_vector" + whose

    @property
    def title(self) -> str:
        """The task vector, the task vector of finetuning, ..."""
        whose = "the task vector" + ("" if isinstance(self.of, InContext) else f" of {self.of.title}")
        return whose if self.state == "own" else f"a Gaussian vector in the place of {whose}"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the state behind every block tried, and keep the one that answers the other demonstrations best."""
        *shown, asked = demonstrations.context_order
        stepped_on = tuple(index for index in demonstrations.learning_order if index != asked)
        others = replace(demonstrations, context_order=tuple(shown), learning_order=stepped_on)
        learned = self.of.learn(model, others)
        row = demonstrations.templates[asked]
        with torch.inference_mode():
            seen = model.activations(
                [row], learned.prefix, answer_at=-1, probe_at=-1, weights=learned.weights, blocks=True
            )
        opening, depths = model.read_prefix([demonstrations.bos]), depths_tried(len(seen.block_outputs))
        tried = [Patched(model, opening, layer=at, states={_STATE: seen.block_outputs[at][0]}) for at in depths]
        best = max(tried, key=lambda one: one.success(demonstrations, shown)) if shown else tried[len(tried) // 2]
        if self.state == "own":
            return best
        return replace(best, states={_STATE: _gaussian_like(best.states[_STATE], demonstrations.seed)})


@dataclass(frozen=True, eq=False)
class Patched(Learned):
    """Answers with a hidden state in the place of each query's own, behind one block at the position of the answer."""

    layer: int = field(kw_only=True)
    states: Mapping[str, Tensor] = field(kw_only=True)

    def answer(self, queries: Queries, *, lens: bool = False, training: TrainingTokens | None = None) -> metrics.Answer:
        """Answer a batch of queries."""
        places = Layout(tuple(map(len, queries.rows)), self.model.device).packed_index(queries.answer_at)
        with output_replaced(self.model.blocks.modules[self.layer], places, self.states[_STATE]):
            return super().answer(queries, lens=lens, training=training)

    def success(self, demonstrations: Demonstrations, asked: list[int]) -> tuple[float, float]:
        """How many of some demonstrations it answers right, and the mean log-probability of their labels."""
        rows = tuple(demonstrations.templates[index] for index in asked)
        gold = np.array([demonstrations.labels[index] for index in asked])
        answer = self.answer(Queries(rows, demonstrations.label_ids, answer_at=-1, probe_at=-1))
        said = answer.log_probabilities.cpu().double().numpy()
        calibration: Literal["none", "batch"] = "none" if demonstrations.protocol.calibration == "none" else "batch"
        right = metrics.predicted_labels(said, said[:0], calibration) == gold
        return float(right.mean()), float(metrics.true_label_log_probability.values(said, gold).mean())


def depths_tried(blocks: int) -> list[int]:
    """The blocks, from 0, behind which a state is tried.

    >>> depths_tried(3), depths_tried(30)
    ([0, 1, 2], [0, 6, 12, 17, 23, 29])
    """
    return sorted({round(at) for at in np.linspace(0, blocks - 1, min(DEPTHS, blocks)).tolist()})


def _gaussian_like(state: Tensor, seed: int) -> Tensor:
    drawn = torch.from_numpy(np.random.default_rng((seed, 0, 4)).standard_normal(len(state))).to(state)
    scaled: Tensor = drawn * (state.norm() / drawn.norm())
    return scaled
