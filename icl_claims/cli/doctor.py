"""What this machine has, what is missing, and how to get it."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
import transformers

from icl_claims.errors import IclClaimsError
from icl_claims.experiments.result import default_store
from icl_claims.models.embedded import EMBEDDED_MODEL, GGUF_SHA256, free_space, model_cache
from icl_claims.models.families import TITLES
from icl_claims.tasks import PAPERS_TASKS, TASKS, read_task

_GIB = 1024**3


@dataclass(frozen=True)
class Line:
    """One thing looked at."""

    what: str
    found: str
    good: bool = True
    todo: str = ""


def examine() -> list[Line]:
    """Everything a run of claims needs, one line each."""
    threads = torch.get_num_threads()
    libraries = f"torch {torch.__version__}, transformers {transformers.__version__}, {threads} threads"
    families = Line("models that can be used", TITLES)
    return [_python(), Line("libraries", libraries), *_devices(), _memory(), _model(), _disk(), families, *_data()]


def _python() -> Line:
    good = sys.version_info >= (3, 11)
    return Line("Python", platform.python_version(), good, "" if good else "Install Python 3.11 or newer.")


def _devices() -> list[Line]:
    if not torch.cuda.is_available():
        todo = "Claims marked gpu are not run here; install the CUDA build of torch on a GPU machine."
        return [Line("device", "CPU only", good=False, todo=todo)]
    cards = range(torch.cuda.device_count())
    names, free = map(torch.cuda.get_device_name, cards), (torch.cuda.mem_get_info(card)[0] / _GIB for card in cards)
    found = enumerate(zip(names, free, strict=True))
    return [Line("device", f"cuda:{card} {name}, {gib:.0f} GiB free") for card, (name, gib) in found]


def _memory() -> Line:
    free = psutil.virtual_memory().available / _GIB
    todo = "" if free > 3 else "The embedded model wants 3 GiB: close something."
    return Line("memory", f"{free:.1f} GiB free", free > 3, todo)


def _model() -> Line:
    cache = model_cache()
    if any(cache.glob(f"smollm2-135m-instruct-{GGUF_SHA256[:12]}/MANIFEST.json")):
        return Line("embedded model", f"cached in {cache}")
    return Line("embedded model", "not fetched yet", good=False, todo=f"The first run fetches {EMBEDDED_MODEL}: 93 MB.")


def _disk() -> Line:
    free = free_space(model_cache()) / _GIB
    todo = "" if free > 1 else "Set ICL_CLAIMS_CACHE to a folder with 1 GiB free."
    return Line("disk", f"{free:.0f} GiB free for models and trials ({default_store()})", free > 1, todo)


def _data() -> list[Line]:
    chosen = os.environ.get("ICL_CLAIMS_DATA")
    lines = [_read("miniature tasks", None)]
    if chosen:
        return [*lines, _read(f"real tasks in {chosen}", Path(chosen))]
    todo = "Set ICL_CLAIMS_DATA, or name a folder with --data (pytest: --claims-data), to run on the papers' data sets."
    return [*lines, Line("real tasks", "no folder named; the miniature tasks are used", good=False, todo=todo)]


def _read(what: str, directory: Path | None) -> Line:
    try:
        data = [read_task(task, directory) for task in (TASKS[name] for name in PAPERS_TASKS)]
    except IclClaimsError as error:
        return Line(what, "cannot be read", good=False, todo=str(error))
    sizes = ", ".join(f"{one.task.title} {len(one.train)}/{len(one.validation)}" for one in data)
    return Line(what, f"training/evaluation examples: {sizes}")
