"""Loaded into a dask worker before it starts: its tiny model gets other weights."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models import reference


def other_weights():
    """A copy of the fixtures in which one number of the tiny model is another."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(fixtures_folder() / "tiny", folder / "tiny")
    file = next((folder / "tiny").glob("*.safetensors"))
    weights = load_file(file)
    name = next(iter(weights))
    weights[name] = weights[name] + np.float32(1e-3)
    save_file(weights, file, metadata={"format": "pt"})
    return folder


_FOLDER = other_weights()
reference.fixtures_folder = lambda: _FOLDER
