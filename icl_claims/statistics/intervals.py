"""An estimate and the interval around it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval around it; bounds are NaN where the data cannot give them.

    >>> Interval(0.2, 0.1, 0.3).excludes_below(0.0)
    True
    """

    estimate: float
    low: float
    high: float

    def excludes_below(self, value: float) -> bool:
        """Whether the whole interval lies above a value."""
        return bool(self.low > value)

    def excludes_above(self, value: float) -> bool:
        """Whether the whole interval lies below a value."""
        return bool(self.high < value)


UNDEFINED = Interval(np.nan, np.nan, np.nan)
