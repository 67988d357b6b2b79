"""The folder of everything that is cached between runs: models, trials, verdicts, figures, learning rates."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The folder that the environment variable ICL_CLAIMS_CACHE names; else one in the user's cache."""
    chosen = os.environ.get("ICL_CLAIMS_CACHE")
    return Path(chosen) if chosen else user_cache_path("icl_claims")
