"""What methods learned is the same to the last bit, whether it waits in memory or in files."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from icl_claims.errors import StoreError, StoreWarning
from icl_claims.experiments.progress import LearnedSpill, bytes_of
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import Finetuning, InContext, LayerCausal, Learned, Linearized, Paraphrased, ZeroShot
from icl_claims.models.random_models import random_model
from icl_claims.protocol import Protocol
from icl_claims.storage import checksummed
from icl_claims.storage.checksummed import Checkpoint, parts_in
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData
from icl_claims.tasks.prompts import Demonstrations
from tests.fast.stored_trials import GROUPS

FINETUNING, MATCHED = Finetuning(0.3), LayerCausal(0.3, norm_matched=True)
METHODS = (
    ZeroShot(),
    InContext(),
    FINETUNING,
    MATCHED,
    Linearized(0.3),
    Paraphrased(ZeroShot()),
    Paraphrased(FINETUNING),
)
SHOWN = Demonstrations.from_rows(1, 2, ((5, 6, 7), (8, 9), (5, 9, 6)))


@pytest.fixture(params=["llama", "gpt2", "opt", "gpt_neox"])
def model(request):
    return random_model(request.param, 2, 0)


@pytest.fixture
def learned(model):
    known = {}
    for method in METHODS:
        known[method] = method.learn(model, SHOWN, known)
    return known


def tensors_of(learned):
    weights = [*learned.weights.items()]
    prefix = [("keys", key) for key in learned.prefix.keys] + [("values", value) for value in learned.prefix.values]
    return weights + prefix


def assert_same(one, other):
    assert type(one) is type(other)
    assert one.losses == other.losses
    for (name, mine), (same_name, theirs) in zip(tensors_of(one), tensors_of(other), strict=True):
        assert name == same_name
        assert (mine.dtype, mine.stride(), mine.device) == (theirs.dtype, theirs.stride(), theirs.device)
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("in_memory", [0, 10_000, 10**9])
def test_what_is_got_is_what_was_put_wherever_it_was_meanwhile(model, learned, in_memory, tmp_path):
    kept = LearnedSpill(model, in_memory, tmp_path)
    for method, of in learned.items():
        kept.put(method, of)
    assert list(kept) == list(learned)
    for method, of in learned.items():
        assert_same(kept[method], of)
    held = [place for place in kept._places.values() if isinstance(place, Learned)]
    assert bytes_of(*held) <= in_memory
    assert bool(list(tmp_path.iterdir())) == (in_memory < 10**9)
    assert Finetuning(0.4) not in kept
    with pytest.raises(KeyError):
        kept[Finetuning(0.4)]


def test_files_go_with_what_they_stand_for(model, learned, tmp_path):
    kept = LearnedSpill(model, 0, tmp_path)
    kept.put(FINETUNING, learned[FINETUNING])
    assert list(tmp_path.iterdir())
    del kept
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_all_stays_in_memory(model, learned, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    kept = LearnedSpill(model, 0, in_the_way)
    with pytest.warns(StoreWarning, match="stays in memory"):
        kept.put(FINETUNING, learned[FINETUNING])
    with warnings.catch_warnings(action="error"):
        kept.put(MATCHED, learned[MATCHED])
    assert kept[FINETUNING] is learned[FINETUNING]
    assert kept[MATCHED] is learned[MATCHED]


def test_a_full_disk_leaves_what_was_spilled_before(model, learned, tmp_path, monkeypatch):
    kept = LearnedSpill(model, 0, tmp_path)
    kept.put(FINETUNING, learned[FINETUNING])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checksummed, "write_checksummed", full)
    with pytest.warns(StoreWarning, match="No space left"):
        kept.put(InContext(), learned[InContext()])
    assert_same(kept[FINETUNING], learned[FINETUNING])
    assert_same(kept[InContext()], learned[InContext()])


def test_a_file_that_somebody_removed_is_named(model, learned, tmp_path):
    kept = LearnedSpill(model, 0, tmp_path)
    kept.put(FINETUNING, learned[FINETUNING])
    for folder in tmp_path.iterdir():
        shutil.rmtree(folder)
    with pytest.raises(StoreError, match=r"finetuning learned was cut or removed.*Run it again"):
        kept[FINETUNING]


def test_what_shares_memory_is_counted_once(model, learned):
    finetuned, in_other_words = learned[FINETUNING], learned[Paraphrased(FINETUNING)]
    assert in_other_words.learned is finetuned
    assert bytes_of(in_other_words) == bytes_of(finetuned)
    tuned = sum(value.nbytes for value in model.tuned_values().values())
    assert tuned <= bytes_of(finetuned) <= tuned + 6 * sum(key.nbytes for key in finetuned.prefix.keys)


@dataclass(frozen=True, eq=False)
class OwnLearned(Learned):
    """What a user's own method learned."""

    scales: dict = field(default_factory=dict)
    steps: np.ndarray = None
    temperature: float = 1.0


def test_what_users_own_methods_learn_is_spilled_too(model, learned, tmp_path):
    finetuned, scales = learned[FINETUNING], {"all": torch.arange(6.0).reshape(2, 3).T}
    own = OwnLearned(model, finetuned.prefix, scales=scales, steps=np.arange(3), temperature=0.5)
    spilled = LearnedSpill(model, 0, tmp_path)
    spilled.put(LayerCausal(0.1), own)
    found = spilled[LayerCausal(0.1)]
    assert found is not own
    assert_same(found, own)
    assert (found.scales["all"].stride(), found.temperature) == (scales["all"].stride(), 0.5)
    assert torch.equal(found.scales["all"], scales["all"])
    assert np.array_equal(found.steps, own.steps)


def test_what_no_file_can_express_stays_in_memory(model, learned, tmp_path):
    own = OwnLearned(model, learned[FINETUNING].prefix, temperature=object())
    spilled = LearnedSpill(model, 0, tmp_path)
    spilled.put(LayerCausal(0.1), own)
    assert spilled[LayerCausal(0.1)] is own
    assert not list(tmp_path.iterdir())


# A whole trial

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")


def example(row):
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 4))}, row % 2, row)


CONTEXTUAL = Protocol(calibration="contextual")
DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(9))), "directory", "data")


@pytest.fixture
def trial(word_encoder, tmp_path):
    model = random_model("llama", 2, 0)
    model.tokens = word_encoder()
    spec = TrialSpec(model.digest, DATA.digest, "sst2", 3, 5, 0, None, METHODS[2:], protocol=CONTEXTUAL)

    def run(in_memory, folder=None):
        checkpoint = None if folder is None else Checkpoint(tmp_path / folder, "key")
        return run_trial(spec, model, DATA, checkpoint=checkpoint, tokens_per_batch=16, learned_in_memory=in_memory)

    return run


@pytest.mark.parametrize("folder", [None, "key.partial"])
def test_a_trial_gives_the_same_bits_in_memory_and_in_files(trial, folder, tmp_path):
    in_memory, in_files = trial(10**9), trial(0, folder)
    for group in GROUPS:
        mine, theirs = getattr(in_memory, group), getattr(in_files, group)
        assert list(mine) == list(theirs)
        assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine), group
    assert in_memory.losses == in_files.losses
    if folder:
        assert not list((tmp_path / folder).glob("learned-*"))


def test_weights_in_the_checkpoint_are_not_written_twice(trial, tmp_path, monkeypatch):
    written = []
    spilled = LearnedSpill._spilled
    monkeypatch.setattr(
        LearnedSpill, "_spilled", lambda self, learned: written.append(learned) or spilled(self, learned)
    )
    trial(0, "key.partial")
    assert not any(learned.weights for learned in written)
    assert any("learned" in part.name for part in parts_in(tmp_path / "key.partial"))


def test_what_is_read_stays_where_there_is_room(model, learned, tmp_path):
    before, after = LearnedSpill(model, 0, tmp_path), LearnedSpill(model, 10**9, tmp_path)
    before.put(FINETUNING, learned[FINETUNING])
    after.put_file(FINETUNING, before._places[FINETUNING])
    assert after[FINETUNING] is after[FINETUNING]
    assert before[FINETUNING] is not before[FINETUNING]


def test_what_killed_runs_left_is_removed(model, learned, tmp_path):
    (tmp_path / "learned-left").mkdir()
    kept = LearnedSpill(model, 0, tmp_path)
    kept.put(InContext(), learned[InContext()])
    assert len(list(tmp_path.glob("learned-*"))) == 1
    assert not (tmp_path / "learned-left").exists()
