"""What was measured on models trained from several seeds: mean, interval, and the bounds that it is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from icl_claims.claims import CaseRule, Comparison, Finding, Outcome, Verdict


def over_seeds(what: str, values: Sequence[float], least: float, most: float) -> Finding:
    """The mean over training seeds, with its t interval, against the bounds it has to stay within."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    low, high = mean - half, mean + half
    outside = high < least or low > most
    outcome: Outcome = "fails" if outside else "holds" if least <= low and high <= most else "unclear"
    return Finding(what, outcome, left=mean, difference=mean, low=low, high=high, queries=len(values))


Measured = Sequence[Mapping[str, float]]
"""What was measured after training from each seed, by name."""


def decided_over_seeds(
    rule: CaseRule, what: str, measured: Measured, bounds: Mapping[str, tuple[float, float]]
) -> Verdict:
    """The verdict of all measures, each with its own bounds; it says the mean and the interval of each."""
    findings = [over_seeds(name, [one[name] for one in measured], *bounds[name]) for name in bounds]
    said = "; ".join(f"{f.task} {f.difference:.3g} [{f.low:.3g}, {f.high:.3g}]" for f in findings)
    verdict = rule.decide(Comparison(what, tuple(findings), upwards=None))
    return replace(verdict, why=f"{verdict.why} Mean and interval over {len(measured)} seeds: {said}.")
