"""How OpenMP's threads wait for each other: asleep, so that a busy machine is shared with whatever else runs on it.

By default they spin for a while, and take from the other threads the processors that these are waiting for. On two
cores, beside one busy process, a forward pass of 512 tokens took 2.7 times as long as alone, and 1.7 times with threads
that sleep. That has a price: alone, passes and learning steps took 1.2 to 1.5 times as long as with threads that spin,
which `OMP_WAIT_POLICY=active` brings back on a machine that does nothing else.
"""

import os
import sys
from typing import NamedTuple

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Say how threads wait: in any library, in GNU's, and in Intel's."""


class Waiting(NamedTuple):
    """How threads wait, as the environment says it; whether that is our choice, and came after torch was imported."""

    said: str
    ours: bool
    late: bool


def wait_passively() -> Waiting:
    """Let threads sleep while they wait, unless the environment says how; torch reads that when it is imported."""
    said = ", ".join(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ)
    if not said:
        os.environ[VARIABLES[0]] = "passive"
    return Waiting(said or f"{VARIABLES[0]}=passive", ours=not said, late="torch" in sys.modules and not said)
