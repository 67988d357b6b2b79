"""A small trial run in a process of its own, which can be killed; nothing heavy is read before it runs."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

TOKENS = 96


def apart():
    """Processes that start quickly, since what they need was read before by the one they are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["icl_claims.experiments.trial", "icl_claims.models.reference"])
    return context


def small_trial(queries=24, **changes):
    """The specification of a trial of the tiny model, with its model and data."""
    from icl_claims.experiments.plan import plan_trials, resolve
    from icl_claims.experiments.profiles import PROFILES, Choices

    choices = Choices(PROFILES["tiny"], tasks=("sst2",), k=4, queries=queries)
    run = resolve(choices)
    return replace(plan_trials(run)[0], **changes), choices.load_model(), run.data["sst2"]


def run_through_store(folder, told, limit=None):
    """Run the small trial, or go on with it; `told` gets `ready`, then how many parts were kept, or why it failed.

    Args:
        folder: of the store.
        told: a connection.
        limit: bytes that a file may hold at most.
    """
    import resource
    import warnings

    import torch

    from icl_claims.errors import StoreWarning
    from icl_claims.experiments.trial import run_trial
    from icl_claims.experiments.trial_store import TrialStore
    from icl_claims.storage.checksummed import Checkpoint

    torch.set_num_threads(1)
    spec, model, data = small_trial()
    store, kept, keep = TrialStore(folder), [], Checkpoint.keep

    def count(checkpoint, kind, *part):
        keep(checkpoint, kind, *part)
        kept.append(kind)

    Checkpoint.keep = count
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    told.send("ready")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = store.get_or_run(
            spec, lambda new: run_trial(new, model, data, checkpoint=store.checkpoint(new), tokens_per_batch=TOKENS)
        )
    said = [str(warning.message) for warning in warned if issubclass(warning.category, StoreWarning)]
    told.send((kept, said, {tuple(entry): values.tobytes() for entry, values in result.by_layer.items()}))


def ask_in_turn(folder, keys, log):
    """Ask a store for some trials that take a moment; who runs one writes its key into a log."""
    import time

    from icl_claims.storage.store import Store
    from tests.fast.stored_trials import get_or_run, made_up_content

    store = Store(folder)
    for number, key in enumerate(keys):

        def run(key=key, number=number):
            with log.open("a") as file:
                file.write(f"{key}\n")
            time.sleep(0.1)
            return made_up_content(number)

        assert get_or_run(store, key, run)[0]["spec"]["seed"] == number
