"""What runs at the other end: a worker that loads a model once, keeps it, and refuses what it is not fit for."""

from __future__ import annotations

import os
import pickle
import platform
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path

from icl_claims.engines.devices import own_device
from icl_claims.engines.engine import Done, Failed, Order, Refused, Reply
from icl_claims.errors import EngineError
from icl_claims.experiments.profiles import Choices
from icl_claims.experiments.result import TrialResult, packed_result
from icl_claims.experiments.spec import TrialSpec, code_digest, kernels, number_makers, where_run
from icl_claims.experiments.trial import run_trial
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.models import LanguageModel
from icl_claims.models.products import CHOICE
from icl_claims.tasks import Task, TaskData
from icl_claims.version import __version__


@dataclass(frozen=True)
class Setting:
    """From what a worker finds model, data and store of a trial.

    Args:
        choices: Of the reader, whose paths are absolute.
        own: Tasks of the reader's own, by name.
        store: Folder of the store of the run.
        witness: A file beside it; where a worker sees it, it shares the store.
        since: Results that were written before are run again.
    """

    choices: Choices
    own: Mapping[str, Task]
    store: Path
    witness: Path
    since: datetime | None = None


def versions() -> dict[str, str]:
    """The versions here of all that numbers follow from but model and data."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "icl_claims": __version__, **number_makers(), "code of icl_claims": code_digest()}


_ONE_AT_A_TIME = threading.Lock()  # in one process there is one model
_LOADED: dict[tuple[str, str, str], LanguageModel] = {}
_READ: dict[tuple[object, ...], TaskData] = {}


def run_order(order: Order) -> Reply:
    """Run a trial, through the store where the worker shares it; never raises, but for an interrupt."""
    with _ONE_AT_A_TIME:
        try:
            if why := _differences(order.versions, versions()):
                return Refused(order.name, this_worker(), why)
            return _answer(order)
        except Exception as error:
            return Failed(order.name, _sendable(error))


def this_worker() -> str:
    """The name of this worker: its machine and its process."""
    return f"{socket.gethostname()} (process {os.getpid()})"


def _answer(order: Order) -> Reply:
    os.environ.setdefault(CHOICE, order.kernel)
    _import(order.own)
    spec, setting = pickle.loads(order.payload)
    if spec.key() != order.key:
        own = "code of your own methods and metrics"
        return Refused(order.name, this_worker(), _differences({own: order.key}, {own: spec.key()}))
    if why := _differences({"kernels": spec.kernels}, {"kernels": kernels(spec.device)}):
        return Refused(order.name, this_worker(), why)
    model, data = _model(setting.choices), _data(setting, spec.task)
    wanted = {"weights of the model": spec.model, "data": spec.data, "dtype": spec.dtype, "device": spec.device}
    found = {"weights of the model": model.digest, "data": data.digest, **where_run(model)}
    if why := _differences(wanted, found):
        return Refused(order.name, this_worker(), why)
    spent = list[float]()

    def run(missing: TrialSpec) -> TrialResult:
        began, tokens = time.monotonic(), setting.choices.tokens_per_batch
        checkpoint = None if store is None else store.checkpoint(missing)
        result = run_trial(missing, model, data, checkpoint=checkpoint, tokens_per_batch=tokens)
        spent.append(time.monotonic() - began)
        return result

    store = TrialStore(setting.store, since=setting.since) if setting.witness.is_file() else None
    result = run(spec) if store is None else store.get_or_run(spec, run)
    return Done(order.name, packed_result(spec, result), sum(spent), this_worker())


def _model(choices: Choices) -> LanguageModel:
    """The model of some choices, loaded once; the one before is forgotten first, as both may not fit the memory."""
    device = own_device(choices.device)
    key = (choices.model_reference, choices.dtype or "float32", device or "")
    if key not in _LOADED:
        _LOADED.clear()
        _LOADED[key] = replace(choices, device=device).load_model()
    return _LOADED[key]


def _data(setting: Setting, name: str) -> TaskData:
    key = (setting.choices.profile.name, setting.choices.data, setting.own.get(name), name)
    if key not in _READ:
        known = {task.name: task for task in setting.choices.chosen_tasks()}
        _READ[key] = setting.choices.source.read((known | dict(setting.own))[name])
    return _READ[key]


def _import(own: tuple[tuple[str, str], ...]) -> None:
    """Import the reader's own modules, from the folder in which they lie under their full names.

    Raises:
        EngineError: one is not there.
    """
    for name, file in own:
        depth = name.count(".") + (Path(file).stem == "__init__")
        root = str(Path(file).parents[depth])
        if name not in sys.modules and root not in sys.path:
            sys.path.append(root)
        try:
            import_module(name)
        except ImportError as error:
            raise EngineError(
                f"The worker {this_worker()} cannot import your own code",
                expected=f"{name} at {file}",
                got=str(error),
                todo="Put the folder where every worker sees it under the same name.",
            ) from error


def _differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What is not as wanted, with both values; empty if all is."""
    wrong = {name: found.get(name, "another") for name, value in wanted.items() if found.get(name) != value}
    return "; ".join(f"{name}: expected {_short(wanted[name])}, got {_short(got)}" for name, got in wrong.items())


def _short(value: str) -> str:
    return value[:12] if len(value) >= 32 and " " not in value else value


def _sendable(error: Exception) -> Exception:
    """An error that can be sent, with its place at the worker as a note."""
    error.add_note(f"At the worker {this_worker()}:\n{''.join(traceback.format_tb(error.__traceback__))}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return EngineError(f"The worker {this_worker()} raised {type(error).__name__}", got=str(error))
    return error.with_traceback(None)
