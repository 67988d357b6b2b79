"""What a run will cost is counted from its prompts, and timed by a measurement that is short."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
import torch

from icl_claims.experiments import estimate as estimate_module
from icl_claims.experiments.batches import batches_by_length
from icl_claims.experiments.estimate import Cost, Speed, Work, estimate, measure_speed, memory, work_of
from icl_claims.experiments.plan import plan_trials, resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import prompts_of, run_trial
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.models.attention import Prefix
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import random_model
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")
SPEED = Speed(prefix=1.0, answer=2.0, attend=0.5, train=3.0)


def example(row):
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 3))}, row % 2, row)


DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(9))), "directory", "data")


@pytest.fixture
def model(word_encoder):
    made = random_model("llama", 2, 0)
    made.tokens = word_encoder()
    return made


@pytest.fixture
def run(monkeypatch, tmp_path, model):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    choices = Choices(PROFILES["embedded"], tasks=("sst2",), k=3, seeds=(1, 2), queries=5, studies=("main",))
    return replace(resolve(choices, model), data={"sst2": DATA})


def test_what_a_trial_is_said_to_do_is_what_it_does(model, monkeypatch):
    spec = TrialSpec(model.digest, "data", "sst2", 3, 5, 0, None, (Finetuning(0.1), LayerCausal(0.1)))
    work = work_of(spec, prompts_of(spec, model, DATA))
    read, answered, stepped = [], [], []

    def count(name, seen):
        original = getattr(LanguageModel, name)

        def counted(self, ids, *rest, **how):
            seen.append((ids, rest))
            return original(self, ids, *rest, **how)

        monkeypatch.setattr(LanguageModel, name, counted)

    count("read_prefix", read)
    count("activations", answered)
    count("head_input", stepped)
    run_trial(spec, model, DATA)
    assert work.trials == 1
    assert work.prefix_tokens == max(len(ids) for ids, _ in read)
    assert work.answered_tokens == sum(len(row) for rows, _ in answered for row in rows)
    assert work.answered_tokens == 4 * work.query_tokens
    assert (work.steps, work.trained_tokens) == (len(stepped), sum(len(ids) for ids, _ in stepped))
    long = [(rows, rest) for rows, rest in answered if rest[0].tokens == work.prefix_tokens]
    assert work.attended_pairs == sum(len(row) * rest[0].tokens for rows, rest in long for row in rows)


def test_work_adds_up_part_by_part_and_in_all(model, run):
    specs = plan_trials(run)
    together, apart = estimate(run, model, [specs]), estimate(run, model, [specs[:1], [], specs[1:]])
    each = [work_of(spec, prompts_of(spec, model, DATA)) for spec in specs]
    assert len(each) == 2
    assert [cost.work for cost in apart.parts] == [each[0], Work(), each[1]]
    assert together.total.work == apart.total.work == each[0] + each[1]
    assert together.total.work.steps == 2 * 3 * len(specs[0].methods)
    assert Cost() + together.total == together.total


def test_time_goes_with_tokens(monkeypatch, model, run):
    monkeypatch.setattr(estimate_module, "measure_speed", lambda *_given: SPEED)
    found = estimate(run, model, [plan_trials(run)])
    work = found.total.work
    wanted = work.prefix_tokens + 2 * work.answered_tokens + 0.5 * work.attended_pairs + 3 * work.trained_tokens
    assert found.total.seconds == pytest.approx(wanted)
    assert SPEED.seconds(Work()) == 0


def test_trials_that_are_kept_take_no_time(monkeypatch, model, run, tmp_path):
    monkeypatch.setattr(estimate_module, "measure_speed", lambda *_given: SPEED)
    store = TrialStore(tmp_path / "trials")
    first, second = plan_trials(run)
    alone = estimate(run, model, [[first], [second]], store)
    store.get_or_run(first, lambda spec: run_trial(spec, model, DATA))
    found = estimate(run, model, [[first], [second]], store)
    assert (alone.total.stored, alone.total.missing) == (0, 2)
    assert [(cost.stored, cost.missing, cost.seconds) for cost in found.parts] == [
        (1, 0, 0.0),
        (0, 1, pytest.approx(SPEED.seconds(work_of(second, prompts_of(second, model, DATA))))),
    ]
    assert found.total.work == alone.total.work


def test_of_a_trial_that_lacks_a_method_the_rest_takes_time(monkeypatch, model, run, tmp_path):
    monkeypatch.setattr(estimate_module, "measure_speed", lambda *_given: SPEED)
    store, (spec, _) = TrialStore(tmp_path / "trials"), plan_trials(run)
    standard, *_, last = spec.methods
    store.get_or_run(replace(spec, methods=(standard,)), lambda part: run_trial(part, model, DATA))
    found = estimate(run, model, [[replace(spec, methods=(standard, last))]], store).total
    rest = replace(spec, methods=(last,))
    assert (found.stored, found.missing) == (0, 1)
    assert found.seconds == pytest.approx(SPEED.seconds(work_of(rest, prompts_of(rest, model, DATA))))


def test_what_one_method_learned_is_known_to_those_that_build_on_it(model, monkeypatch):
    learned = []
    original = Finetuning.learn
    monkeypatch.setattr(Finetuning, "learn", lambda self, *rest: learned.append(self) or original(self, *rest))
    measure_speed(model, (Finetuning(0.1), LayerCausal(0.1), LayerCausal(0.1, norm_matched=True)))
    assert learned == [Finetuning(0.1)]


def test_prompts_are_written_once_for_all_studies(model, run, monkeypatch):
    written = []
    monkeypatch.setattr(estimate_module, "measure_speed", lambda *_given: SPEED)
    monkeypatch.setattr(
        estimate_module, "prompts_of", lambda spec, *rest: written.append(spec) or prompts_of(spec, *rest)
    )
    main, untrained = (plan_trials(run, study) for study in ("main", "untrained"))
    one = estimate(run, model, [main]).total.work
    both = estimate(run, model, [main, untrained]).total.work
    assert len(written) == 2 + 2
    assert (both.trials, both.steps) == (2 * one.trials, 2 * one.steps)


def test_the_measurement_is_short_and_positive(model, monkeypatch):
    seen = []
    original = LanguageModel._run

    def run(self, now, *rest):
        seen.append(now.layout.tokens)
        return original(self, now, *rest)

    monkeypatch.setattr(LanguageModel, "_run", run)
    speed = measure_speed(model, (Finetuning(0.1), LayerCausal(0.1, "sequential")))
    assert min(speed.prefix, speed.answer, speed.train) > 0
    assert all(value >= 0 for value in astuple(speed))
    assert sum(seen) < 1500


def test_memory_counts_weights_and_keys_and_values_exactly(model):
    spec = TrialSpec(model.digest, "data", "sst2", 3, 5, 0, None, (Finetuning(0.1),))
    prompts = prompts_of(spec, model, DATA)
    held = memory(model, [prompts], compared=1)
    assert held["weights"] == sum(p.numel() * 4 for p in model.network.parameters())
    prefix: Prefix = model.read_prefix(prompts.demonstrations.context)
    numbers = sum(values.numel() for values in (*prefix.keys, *prefix.values))
    assert held["keys and values of the demonstrations"] == 4 * numbers
    assert held["tuned keys and values"] == 4 * sum(v.numel() for v in model.tuned_values().values())


def test_memory_covers_the_largest_tensors_of_a_batch(model):
    spec = TrialSpec(model.digest, "data", "sst2", 3, 5, 0, None, (Finetuning(0.1),))
    prompts = prompts_of(spec, model, DATA)
    [batch] = batches_by_length(prompts.queries)
    tokens = sum(len(prompts.queries.rows[i]) for i in batch)
    scores = 4 * tokens * len(prompts.demonstrations.context) * 4
    assert memory(model, [prompts], compared=1)["a batch of queries"] > scores


def test_half_precision_halves_the_weights(word_encoder):
    def weights(dtype):
        made = random_model("llama", 2, 0, dtype)
        made.tokens = word_encoder()
        spec = TrialSpec(made.digest, "data", "sst2", 3, 5, 0, None, (Finetuning(0.1),))
        return memory(made, [prompts_of(spec, made, DATA)], 1)

    half, full = weights(torch.bfloat16), weights(torch.float32)
    assert 2 * half["weights"] == full["weights"]
    assert half["a training step"] < full["a training step"]


def test_a_longer_context_and_more_methods_need_more(model):
    spec = TrialSpec(model.digest, "data", "sst2", 2, 5, 0, None, (Finetuning(0.1),))
    few, many = (prompts_of(replace(spec, k=k), model, DATA) for k in (2, 6))
    less, more = memory(model, [few], 1), memory(model, [few, many], 2)
    assert all(more[what] >= less[what] for what in less)
    assert more["keys and values of the demonstrations"] > less["keys and values of the demonstrations"]
    assert more["tuned keys and values"] == 2 * less["tuned keys and values"]
