"""A trial that was interrupted goes on where it was, computes nothing again, and ends with the same bits."""

from __future__ import annotations

import pytest
import torch

from icl_claims.errors import StoreWarning
from icl_claims.experiments import progress
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import (
    Finetuning,
    InContext,
    LayerCausal,
    Linearized,
    Paraphrased,
    Reordered,
    SwitchedLabels,
    ZeroShot,
)
from icl_claims.models.random_models import random_model
from icl_claims.protocol import Protocol
from icl_claims.storage.checksummed import NUMBERS, Checkpoint, parts_in
from icl_claims.storage.store import Store
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData
from tests.fast.stored_trials import GROUPS, SPREAD, assert_same_content, get_or_run

METHODS = (
    Finetuning(0.3),
    LayerCausal(0.3, norm_matched=True),
    Linearized(0.3),
    SwitchedLabels(Finetuning(0.3), "cyclic"),
    Reordered(InContext(), 1),
    Paraphrased(ZeroShot()),
)
LEARNED = 4  # of these change weights
TOKENS = 16
WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")


def example(row):
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 4))}, row % 2, row)


CONTEXTUAL = Protocol(calibration="contextual")
DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(9))), "directory", "data")


class Interrupted(BaseException):
    """What kills a run."""


@pytest.fixture
def trial(word_encoder, tmp_path):
    """Runs a trial, interrupted after so many parts were kept, and gives its result."""

    def run(folder="key.partial", *, after=None, family="llama", methods=METHODS, metrics=(), room=None, **options):
        model = random_model(family, 2, 0)
        model.tokens = word_encoder()
        chosen = {"seed": 5, "protocol": CONTEXTUAL, "metrics": metrics}
        spec = TrialSpec.of(model, DATA, methods, k=3, **chosen)
        checkpoint, answer = Checkpoint(tmp_path / folder, "key"), model.activations
        keep, kept = checkpoint.keep, []

        def keep_until_interrupted(*part):
            keep(*part)
            kept.append(part)
            if len(kept) == after:
                raise Interrupted

        def answer_in_room(rows, *given, **how):
            if room is not None and sum(map(len, rows)) > room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return answer(rows, *given, **how)

        checkpoint.keep, model.activations = keep_until_interrupted, answer_in_room
        return run_trial(spec, model, DATA, checkpoint=checkpoint, **{"tokens_per_batch": TOKENS, **options})

    return run


def assert_same_bits(one, other):
    for group in GROUPS:
        mine, theirs = getattr(one, group), getattr(other, group)
        assert list(mine) == list(theirs)
        assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine), group
    assert (one.losses, one.failures, one.spec) == (other.losses, other.failures, other.spec)
    assert {**one.provenance, "finished": ""} == {**other.provenance, "finished": ""}


def interrupt(trial, after, **how):
    with pytest.raises(Interrupted):
        trial(after=after, **how)


def test_wherever_it_was_interrupted_a_trial_ends_alike(trial):
    whole = trial("another.partial")
    for after in range(1, 11):
        interrupt(trial, after, folder=f"{after}.partial")
        assert_same_bits(trial(f"{after}.partial"), whole)


def test_a_metric_of_all_queries_counts_those_answered_before(trial):
    how = {"methods": METHODS[:2], "metrics": (SPREAD,)}
    whole = trial("another.partial", **how)
    assert {entry.metric for entry in whole.over_queries} == {"spread"}
    assert len(whole.over_queries) == 4
    for after in range(3, 9):
        interrupt(trial, after, folder=f"{after}.partial", **how)
        assert_same_bits(trial(f"{after}.partial", **how), whole)


@pytest.mark.parametrize("family", ["gpt2", "opt", "gpt_neox"])
def test_models_of_every_layout_go_on_with_the_same_bits(trial, family):
    interrupt(trial, 6, family=family)
    assert_same_bits(trial(family=family), trial("another.partial", family=family))


def test_what_was_finished_is_not_computed_again(trial, monkeypatch):
    interrupt(trial, 1 + LEARNED + 1 + 2)
    learn = Finetuning.learn
    monkeypatch.setattr(Finetuning, "learn", lambda *_a, **_k: pytest.fail("learned again"))
    monkeypatch.setattr(Linearized, "learn", lambda *_a, **_k: pytest.fail("learned again"))
    blocks, keep_block = [], progress.TrialProgress.keep_block

    def count(state, asked, batch, *block):
        blocks.append((asked, len(state.blocks["queries"])))
        keep_block(state, asked, batch, *block)

    monkeypatch.setattr(progress.TrialProgress, "keep_block", count)
    trial()
    assert blocks[0] == ("queries", 2)
    monkeypatch.setattr(Finetuning, "learn", learn)


def test_an_interrupted_trial_keeps_its_size_of_batches(trial):
    interrupt(trial, 7)
    assert trial(tokens_per_batch=1000).provenance["tokens_per_batch"] == TOKENS


def test_batches_that_were_halved_stay_halved(trial):
    how = {"room": 24, "tokens_per_batch": 48, "methods": METHODS[:1]}
    whole = trial("another.partial", **how)
    assert len(whole.provenance["notes"]) == 1
    for after in range(3, 6):
        interrupt(trial, after, folder=f"{after}.partial", **how)
        assert_same_bits(trial(f"{after}.partial", **how), whole)


def test_a_method_that_failed_before_is_not_tried_again(trial):
    methods = (Finetuning(float("inf")), Finetuning(0.3, "label_only"))
    interrupt(trial, 3, methods=methods)
    resumed = trial(methods=methods)
    assert "diverged" in resumed.failures["finetuning"]
    assert_same_bits(resumed, trial("another.partial", methods=methods))


@pytest.mark.parametrize("damaged", [1, 5, 6])
def test_a_damaged_part_is_computed_again_to_the_same_bits(trial, tmp_path, damaged):
    interrupt(trial, 8)
    path = parts_in(tmp_path / "key.partial")[damaged] / NUMBERS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(StoreWarning, match="computed again"):
        resumed = trial()
    assert_same_bits(resumed, trial("another.partial"))


def test_a_trial_that_goes_on_elsewhere_says_so(trial, monkeypatch):
    interrupt(trial, 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    [note] = trial().provenance["notes"]
    assert "went on with device cpu, threads 77" in note


def test_the_time_of_the_first_run_counts(trial):
    interrupt(trial, 3)
    assert {"learn finetuning", "learn layer_causal_norm_matched"} <= set(trial().seconds)


def test_what_is_kept_of_a_trial_is_gone_when_it_is_complete(trial, tmp_path):
    def content(**how):
        return {}, trial(**how).log_probabilities

    store = Store(tmp_path)
    with pytest.raises(Interrupted):
        get_or_run(store, "key", lambda: content(after=3))
    assert (tmp_path / "key.partial").is_dir()
    result = get_or_run(store, "key", content)
    assert not (tmp_path / "key.partial").exists()
    assert_same_content(store.get("key"), result)
