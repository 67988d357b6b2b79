"""A t test that may be looked at after every further replicate, and stopped at will.

Its evidence is an e value: a bet against "the mean is 0 or less" that starts at 1. Under that hypothesis the bet ever
reaches 1/a with a probability of at most a, however often one looks and whatever one stops for (Ville's inequality);
so 1/e is a p value at every look, and the values of the mean that no bet of 1/a speaks against are a confidence
sequence.

The bet is a likelihood ratio of the t statistic. Against a standardised mean d = mean / sd of 0 stands one above 0,
half normal: |N(0, 1)|, the unit-information prior; the unknown sd cancels, since t does not depend on it.

Sources: Lai 1976, section 3 (the t statistic as a sequential test); Wang and Ramdas 2023, Anytime-valid t-tests and
confidence sequences for Gaussian means with unknown variance; Lindon et al. 2022 (the same mixture for linear models).
"""

import math
from functools import lru_cache

import scipy

FEWEST = 2
"""With fewer replicates there is no t statistic."""


def log_e_value(t: float, replicates: int) -> float:
    """The natural logarithm of the e value for a mean above 0.

    With n replicates and the normal N(0, 1) on both sides of 0 it is sqrt(1/(1+n)) ((1 + t²/(n-1)) /
    (1 + t²/((n-1)(1+n))))^(n/2); the half above 0 has twice the share of it that lies there after the data, which is a
    Student distribution of the mean with n degrees of freedom.

    Args:
        t: the mean over replicates in its standard errors.
        replicates: how many there are, two or more.

    >>> round(math.exp(log_e_value(4.0, 16)), 1), log_e_value(-4.0, 16) < 0
    (99.1, True)
    """
    n = replicates
    square, shrunk = t * t / (n - 1), t * t / ((n - 1) * (1 + n))
    both = n / 2 * (math.log1p(square) - math.log1p(shrunk)) - math.log1p(n) / 2
    above = t * math.sqrt(n / (n - 1) * n / (1 + n)) / math.sqrt(1 + shrunk)
    share = float(scipy.special.stdtr(n, above))
    return math.log(2.0) + both + (math.log(share) if share else -math.inf)


def p_value(t: float, replicates: int) -> float:
    """The p value of "0 or less" at any look: 1/e, at most 1.

    >>> round(p_value(4.0, 16), 4), p_value(-1.0, 16)
    (0.0101, 1.0)
    """
    return math.exp(-max(log_e_value(t, replicates), 0.0))


@lru_cache(maxsize=4096)
def critical_t(replicates: int, error: float) -> float:
    """The t statistic at which the p value falls to an error; infinite where no data of so many could do it.

    >>> round(critical_t(16, 0.025), 2), critical_t(4, 0.025)
    (3.51, inf)
    """
    wanted, furthest = -math.log(error), 1e8
    if replicates < FEWEST or log_e_value(furthest, replicates) < wanted:
        return math.inf
    return float(scipy.optimize.brentq(lambda t: log_e_value(t, replicates) - wanted, 0.0, furthest, rtol=1e-12))
