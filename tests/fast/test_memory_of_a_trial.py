"""The memory of a trial grows neither with its queries nor with what its methods learn."""

from __future__ import annotations

import gc

import pytest
import torch

from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import Finetuning
from icl_claims.models.random_models import random_model
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")
FEW, MANY, ALL = 2, 8, 10**9
A_QUERYS_NUMBERS = 100  # bytes: the log-probabilities that every method gave, which the result holds


def example(row):
    return Example({"sentence": f"{WORDS[row % 6]} {WORDS[row % 5]}"}, row % 2, row)


DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(24))), "directory", "data")


def bytes_of_live_tensors():
    storages = {}
    for seen in gc.get_objects():
        if issubclass(type(seen), torch.Tensor):
            storages[seen.untyped_storage().data_ptr()] = seen.untyped_storage().nbytes()
    return sum(storages.values())


@pytest.fixture
def peak(word_encoder):
    """The most bytes of tensors that a trial made and that are alive when a method answers."""

    def run(methods, queries, in_memory):
        model = random_model("llama", 2, 0)
        model.tokens = word_encoder()
        finetuning = tuple(Finetuning(0.01 * (1 + number)) for number in range(methods))
        for number, method in enumerate(finetuning):
            object.__setattr__(method, "name", f"finetuning_{number}")
        spec = TrialSpec(model.digest, DATA.digest, "sst2", 2, 5, 0, queries, finetuning, diagnostics=False)
        answer, seen = model.activations, []

        def watch(*given, **how):
            seen.append(bytes_of_live_tensors())
            return answer(*given, **how)

        model.activations = watch
        gc.freeze()  # what is there already is not looked at
        try:
            run_trial(spec, model, DATA, tokens_per_batch=16, learned_in_memory=in_memory)
        finally:
            gc.unfreeze()
        return max(seen), sum(value.nbytes for value in model.tuned_values().values())

    return run


def test_it_does_not_grow_with_the_queries(peak):
    (less, _), (more, _) = peak(FEW, 12, 0), peak(FEW, 24, 0)
    assert more - less <= 12 * A_QUERYS_NUMBERS


def test_what_a_method_learned_is_there_only_while_it_answers(peak):
    (few, tuned), (many, _) = peak(FEW, 12, 0), peak(MANY, 12, 0)
    all_of_few, all_of_many = peak(FEW, 12, ALL)[0], peak(MANY, 12, ALL)[0]
    answers = all_of_many - all_of_few - (MANY - FEW) * tuned
    assert many - few <= answers
    assert all_of_many - many >= (MANY - 1) * tuned
