"""How the mean loss over tasks changes when the layer of one best step is repeated with damping."""

from __future__ import annotations

import torch

from icl_claims.claims import CaseRule, Comparison, Finding, Verdict
from icl_claims.theory import damped_descent

REPEATS = 50
SAMPLES = 10
TASKS = 10_000
DEMONSTRATIONS, INPUTS = 10, 10

FALLS_IN_EVERY_SAMPLE = CaseRule(
    f"in each of {SAMPLES} samples of {TASKS:,} tasks (10 demonstrations, 10 inputs, x ~ U(-1, 1), the best rate of "
    f"one step on the sample), the mean loss over tasks, teachers and queries is lower after each of {REPEATS} repeats "
    "than before it"
)


def repeated_with(damping: float) -> Verdict:
    """Whether, in each sample, the mean loss falls with every repeat."""
    findings = []
    for seed in range(SAMPLES):
        generator = torch.Generator().manual_seed(seed)
        inputs = 2 * torch.rand(TASKS, DEMONSTRATIONS, INPUTS, generator=generator, dtype=torch.float64) - 1
        spectra = damped_descent.spectrum(inputs)
        losses = damped_descent.mean_losses(spectra, damping * damped_descent.best_rate(spectra), REPEATS)
        rise = float(losses.diff().max())
        findings.append(
            Finding(
                f"sample {seed}",
                "holds" if rise < 0 else "fails",
                left=float(losses[-1]),
                right=float(losses[0]),
                difference=rise,
                queries=TASKS,
            )
        )
    samples = Comparison(f"the mean loss when repeated with a damping of {damping}", tuple(findings), upwards=None)
    return FALLS_IN_EVERY_SAMPLE.decide(samples)
