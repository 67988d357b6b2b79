"""Before a run of claims: what this machine has, and what is missing."""

import math
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
import transformers
from packaging.requirements import Requirement

from icl_claims import WAITING, errors, tasks
from icl_claims.models import embedded, families, gguf, products
from icl_claims.storage.store import default_store

_GIB = 1024**3


class Line(NamedTuple):
    """One thing of the machine that was looked at; it is good where there is nothing to do."""

    what: str
    found: str
    todo: str = ""


def examine() -> list[Line]:
    """Everything a run of claims needs, one line each."""
    threads = torch.get_num_threads()
    libraries = f"torch {torch.__version__}, transformers {transformers.__version__}, {threads} threads"
    installed = [Line("Python", platform.python_version()), Line("libraries", libraries), _packages()]
    machine = [*installed, _waiting(), _products(), *_devices(), _memory()]
    return [*machine, _embedded_model(), _disk(), Line("models that can be used", families.TITLES), *_data()]


def _waiting() -> Line:
    if WAITING.late:
        todo = f"Set {WAITING.said} before Python starts: beside another program everything is slower without it."
        return Line("waiting threads", "as torch has it, which was imported before icl_claims", todo)
    whose = "set by icl_claims" if WAITING.ours else "as the environment says"
    return Line("waiting threads", f"{WAITING.said}, {whose}")


def _products() -> Line:
    """Which kernel multiplies in float32 on the CPU, how much faster it is than the other, and how to take that one."""
    what, variable = "products on the CPU", products.CHOICE
    try:
        chosen = products.chosen_kernel()
    except errors.UsageError as error:
        return Line(what, "no kernel can be chosen", str(error))
    if not products.has_onednn():
        return Line(what, f"float32 by {chosen}: this build of torch has no oneDNN")
    seconds = products.measured_once()
    other = next(kernel for kernel in seconds if kernel != chosen)
    found = f"float32 by {chosen}, {seconds[other] / seconds[chosen]:.2f} times as fast as {other}"
    if os.environ.get(variable):
        return Line(what, f"{found}, as {variable} says; unset it to take the faster one")
    if seconds[other] == math.inf:
        return Line(what, f"float32 by {chosen}, as {other} is not exact to float32")
    return Line(what, f"{found}; {variable}={other} takes the other one")


def _packages() -> Line:
    """Whether all that the project declares to need is installed, in a version that it declares to work with."""
    try:
        declared = map(Requirement, metadata.requires("icl-claims") or [])
    except metadata.PackageNotFoundError:
        return Line("packages", "icl-claims itself is not installed", "pip install icl-claims")
    needed = [one for one in declared if not one.marker or one.marker.evaluate()]
    missing = [str(one).partition(";")[0] for one in needed if not _is_installed(one)]
    todo = f"pip install {' '.join(map(repr, missing))}" if missing else ""
    return Line("packages", f"{len(needed) - len(missing)} of {len(needed)} needed", todo)


def _is_installed(needed: Requirement) -> bool:
    try:
        return needed.specifier.contains(metadata.version(needed.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _devices() -> list[Line]:
    if not torch.cuda.is_available():
        todo = "Claims marked gpu are not run here; install the CUDA build of torch on a GPU machine."
        return [Line("device", "CPU only", todo)]
    cards = range(torch.cuda.device_count())
    names, free = map(torch.cuda.get_device_name, cards), (torch.cuda.mem_get_info(card)[0] / _GIB for card in cards)
    found = enumerate(zip(names, free, strict=True))
    return [Line("device", f"cuda:{card} {name}, {gib:.0f} GiB free") for card, (name, gib) in found]


def _memory() -> Line:
    free = psutil.virtual_memory().available / _GIB
    todo = "" if free > 3 else "The embedded model wants 3 GiB: close something."
    return Line("memory", f"{free:.1f} GiB free", todo)


def _embedded_model() -> Line:
    if embedded.is_fetched():
        return Line("embedded model", f"cached in {gguf.model_cache()}")
    return Line("embedded model", "not fetched yet", f"The first run fetches {embedded.EMBEDDED_MODEL}: 93 MB.")


def _disk() -> Line:
    cache = gguf.model_cache().absolute()
    free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.exists())).free / _GIB
    todo = "" if free > 1 else "Set ICL_CLAIMS_CACHE to a folder with 1 GiB free."
    return Line("disk", f"{free:.0f} GiB free for models and trials ({default_store()})", todo)


def _data() -> list[Line]:
    chosen, miniature = os.environ.get("ICL_CLAIMS_DATA"), _examples("miniature tasks", None)
    if chosen:
        return [miniature, _examples(f"real tasks in {chosen}", Path(chosen))]
    todo = "Set ICL_CLAIMS_DATA, or name a folder with --data (pytest: --claims-data), to run on the papers' data sets."
    return [miniature, Line("real tasks", "no folder named; the miniature tasks are used", todo)]


def _examples(what: str, directory: Path | None) -> Line:
    try:
        data = [tasks.read_task(tasks.TASKS[name], directory) for name in tasks.PAPERS_TASKS]
    except errors.IclClaimsError as error:
        return Line(what, "cannot be read", str(error))
    sizes = ", ".join(f"{one.task.title} {len(one.train)}/{len(one.validation)}" for one in data)
    return Line(what, f"training/evaluation examples: {sizes}")
