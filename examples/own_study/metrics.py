"""A metric of one's own: linear CKA of the updates of attention outputs, over all queries of a trial."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from icl_claims import SetMetric
from icl_claims.metrics import Seen


def linear_cka(one: Float[np.ndarray, "queries hidden"], other: Float[np.ndarray, "queries hidden"]) -> float:
    """||Y'X||^2 / (||X'X|| ||Y'Y||) of centred X and Y: 1 up to rotation and scale (Kornblith et al. 2019)."""
    x, y = (values - values.mean(axis=0) for values in (one, other))
    return float(np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def _updates(seen: Seen) -> dict[str, np.ndarray]:
    """By how much demonstrations and the method move the attention outputs, side by side."""
    in_context, method, zero_shot = (
        answer.attention_outputs.detach().cpu().double().numpy()
        for answer in (seen.reference, seen.answer, seen.zero_shot)
    )
    moved = np.stack([in_context - zero_shot, method - zero_shot])  # [side, layers, queries, hidden]
    return {"moved": moved.transpose(2, 1, 0, 3)}


def _over_queries(moved: Float[np.ndarray, "queries layers 2 hidden"]) -> Float[np.ndarray, " layers"]:
    return np.array([linear_cka(layer[:, 0], layer[:, 1]) for layer in moved.transpose(1, 0, 2, 3)])


cka = SetMetric(
    name="cka",
    title="linear CKA",
    definition="Linear CKA of the updates of attention outputs: 1 where the two differ by a rotation and a scale.",
    values=lambda moved: moved,
    takes=_updates,
    over=_over_queries,
    of_updates=True,
)
