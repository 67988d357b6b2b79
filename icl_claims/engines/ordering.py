"""Orders: a trial and its setting as what is sent to a worker."""

from __future__ import annotations

import pickletools
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from icl_claims.engines.engine import Order
from icl_claims.engines.worker import Setting, versions
from icl_claims.experiments.profiles import Choices
from icl_claims.experiments.spec import TrialSpec
from icl_claims.models.products import chosen_kernel
from icl_claims.storage.source_code import own_source
from icl_claims.tasks import Task

_PATHS = ("path", "fairseq", "gguf")


def setting_of(
    choices: Choices, tasks: Sequence[Task], store: Path, witness: Path, since: datetime | None = None
) -> Setting:
    """What workers are told of a run: what the reader chose, with paths that hold in any folder."""
    model, data = choices.model, choices.data
    kind, _, place = (model or "").partition(":")
    if kind in _PATHS:
        model = f"{kind}:{Path(place).expanduser().absolute()}"
    named = choices.tasks and tuple(_absolute_task(name) for name in choices.tasks)
    known = replace(choices, model=model, data=data and Path(data).absolute(), tasks=named)
    own = {task.name: task for task in tasks if task.own}
    return Setting(known, own, store.absolute(), witness.absolute(), since)


def order_of(spec: TrialSpec, setting: Setting) -> Order:
    """The order for a trial.

    Raises:
        UsageError: a method or metric stands in no file.
    """
    import cloudpickle

    payload: bytes = cloudpickle.dumps((spec, setting))
    here = {**versions(), **spec.libraries, "code of icl_claims": spec.code}
    name = f"trial-{spec.key()[:16]}-{uuid.uuid4().hex[:8]}"
    return Order(name, spec.key(), here, chosen_kernel(), _own_modules(payload), payload)


@contextmanager
def witnessed(store: Path) -> Iterator[Path]:
    """A file beside a store while this lasts: whoever sees it shares the store. It is not there if none can be made."""
    witness = store.with_name(f"{store.name}.{uuid.uuid4().hex}.shared")
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        witness.touch()
    except OSError:
        yield witness
        return
    try:
        yield witness
    finally:
        witness.unlink(missing_ok=True)


def _absolute_task(name: str) -> str:
    return str(Path(name).absolute()) if "/" in name or "\\" in name else name


def _own_modules(payload: bytes) -> tuple[tuple[str, str], ...]:
    """The reader's own modules that a pickle names."""
    texts = {argument for _, argument, _ in pickletools.genops(payload) if isinstance(argument, str)}
    own = sorted(name for name in texts & sys.modules.keys() if getattr(sys.modules[name], "__file__", None))
    return tuple((name, str(Path(str(sys.modules[name].__file__)).resolve())) for name in own if own_source((name,)))
