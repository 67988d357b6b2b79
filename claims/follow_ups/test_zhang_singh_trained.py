"""Zhang, Singh et al. 2025: how the loss of linear attention falls during training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from icl_claims.claims import CaseRule, Decide, zhang_singh
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import separate_heads
from icl_claims.theory.training import Training

from ..over_seeds import decided_over_seeds

SPECTRUM = (1.0, 0.5, 0.25)
DEMONSTRATIONS, HEADS = 20, 4
TRAINING_SEEDS = range(5)
HOW = Training(steps=12_000, rate=0.3, spread=0.03, optimiser="descent")
ONE, THREE = (0.5, 1.5), (2.5, 3.5)
BOUNDS = {
    "drops, merged": ONE,
    "drops, separate": THREE,
    **{f"loss on plateau {m}": (-0.05, 0.05) for m in (1, 2)},
    **{f"distance on plateau {m}": (-np.inf, 0.1) for m in (1, 2)},
}
RULE = CaseRule(
    "the 95 % t interval over five training seeds lies within the bound: one drop of the loss with merged keys and "
    "queries, three with separate ones for inputs with three distinct variances (between two drops the rate of descent "
    "falls below a tenth of that of the lower one); on plateau m a loss within 5 % of that of regression on m "
    "principal components, and K within a tenth of its length from that regression's"
)


@zhang_singh.claim("one-drop-or-many", where="abstract, saddle-to-saddle dynamics", rule=RULE, on="exact", trained=True)
def test_separate_keys_and_queries_learn_component_by_component(evidence: ExactEvidence, decide: Decide) -> None:
    """From a small start, gradient descent on linear attention whose keys and queries are merged lowers the loss in one
    drop; with separate keys and queries of rank one it does so in as many drops as the inputs have principal
    components, and between them the layer is regression on the first one, two, ... components.
    """
    spectrum = torch.tensor(SPECTRUM, dtype=torch.float64)
    merged, separate = (
        separate_heads.train(
            TRAINING_SEEDS, kind, spectrum=spectrum, heads=HEADS, demonstrations=DEMONSTRATIONS, how=HOW
        )
        for kind in separate_heads.PARAMETRISATIONS
    )
    measured = [of_one_seed(merged[:, seed], separate[:, seed], spectrum) for seed in range(len(TRAINING_SEEDS))]
    decide(decided_over_seeds(RULE, "drops of the loss, and what was learned between them", measured, BOUNDS))


def of_one_seed(merged: Tensor, separate: Tensor, spectrum: Tensor) -> Mapping[str, float]:
    """Numbers of drops, and how far the first two plateaus are from regression on as many components."""
    of_merged, of_separate = (plateaus(learned, spectrum) for learned in (merged, separate))
    losses, distances = [], []
    for components in (1, 2):
        expected = separate_heads.on_components(spectrum, DEMONSTRATIONS, components)
        best = float(separate_heads.loss(expected, spectrum, DEMONSTRATIONS))
        # Where there is no such plateau, the end of training stands for it.
        found = separate[of_separate[components - 1] if components <= len(of_separate) else -1]
        losses.append(float(separate_heads.loss(found, spectrum, DEMONSTRATIONS)) / best - 1)
        distances.append(float((found - expected).norm() / expected.norm()))
    drops = (1 + len(of_merged), 1 + len(of_separate))
    return dict(zip(BOUNDS, (*map(float, drops), *losses, *distances), strict=True))


def plateaus(learned: Tensor, spectrum: Tensor) -> list[int]:
    """The steps at which the loss rests between two drops."""
    return separate_heads.plateaus(separate_heads.loss(learned, spectrum, DEMONSTRATIONS).numpy())
