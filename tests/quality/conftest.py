"""What the measurements of the suite itself share."""

from __future__ import annotations

import jaxtyping
import pytest


@pytest.fixture(scope="module")
def unchecked_shapes():
    """Shapes go unchecked while thousands of draws are made: checking takes longer than the statistics."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
