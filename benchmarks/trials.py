"""Cases of whole trials: all methods answer all queries, and are compared with in-context learning; and of learning."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.arithmetic import Learning, step_operations
from benchmarks.machine import machine_rate
from benchmarks.outcome import Outcome, Rounds, Say, tolerance_of
from benchmarks.reference import Compared, FullPrompts, Passes, trial
from benchmarks.reference_learning import PlainLearning
from benchmarks.setting import SEED, Setting, Size, spread_by_length
from benchmarks.timing import timed
from icl_claims.errors import ModelError
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import prompts_of, run_trial
from icl_claims.methods import Clipping, Finetuning, LayerCausal, Linearized, Method
from icl_claims.models.language_model import Weights
from icl_claims.tasks.prompts import Demonstrations

Learn = Callable[[Sequence[Sequence[int]], float], Weights]
"""Takes the sequences to step on and the learning rate; gives the tuned values, by name."""


def one_method(setting: Setting) -> tuple[Method, ...]:
    """Standard finetuning."""
    return (Finetuning(setting.learning_rate),)


def five_methods(setting: Setting) -> tuple[Method, ...]:
    """Standard finetuning, and four ways of changing its gradients."""
    rate = setting.learning_rate
    clippings = (Clipping(12.0, "global_l2"), Clipping(2.0, "layer_l2"), Clipping(0.5, "l_inf"))
    return (
        *one_method(setting),
        Finetuning(rate, "label_only"),
        *(Finetuning(rate, clip=clipping) for clipping in clippings),
    )


def spec_of(setting: Setting, methods: tuple[Method, ...], size: Size) -> TrialSpec:
    """The trial of some methods, without the diagnostics that the reference does not have."""
    how = {"k": size.demonstrations, "seed": SEED, "queries": size.queries, "diagnostics": False}
    return TrialSpec.of(setting.model, setting.data, methods, **how)


def whole_trials(setting: Setting, say: Say) -> Iterator[Outcome]:
    """Trials of one and of five methods.

    Reading the context counts as answering, and learning is not timed. Ours also answers the queries without content,
    and measures the random controls, all of it timed; diagnostics, which the reference does not have, are left out.
    """
    yield from trial_against_reference(
        "trial of 1 method", setting, say, one_method(setting), passes=("three for each",)
    )
    yield from trial_against_reference(
        "trial of 5 methods", setting, say, five_methods(setting), passes=("three for each", "shared")
    )


def trial_against_reference(
    name: str, setting: Setting, say: Say, methods: tuple[Method, ...], passes: Sequence[Passes]
) -> Iterator[Outcome]:
    """A trial of some methods against the reference, once for each way of making its passes."""
    spec = spec_of(setting, methods, setting.effort.trial)
    prompts = prompts_of(spec, setting.model, setting.data)
    sampled = spread_by_length(prompts.queries, setting.effort.prompts)
    asked, context = prompts.queries.some(sampled), prompts.demonstrations.context
    case = f"{name}, {len(prompts.queries)} queries after {len(context)} tokens"
    say(f"{case}: learning")
    tuned = {method.name: method.learn(setting.model, prompts.demonstrations).weights for method in methods}
    reference, by_passes = FullPrompts(setting.model), {which: Rounds() for which in passes}
    differences: dict[Passes, float] = {}
    for number in range(max(setting.effort.rounds - 1, 1)):
        say(f"{case}: round {number + 1}")
        result, spent = timed(lambda: run_trial(spec, setting.model, setting.data))
        learning = sum(result.seconds[f"learn {method.name}"] for method in methods)
        for which, rounds in by_passes.items():
            rounds.ours.append((spent - learning) / len(prompts.queries))
            with tempfile.TemporaryDirectory() as folder:
                compared, taken = timed(partial(trial, reference, context, asked, tuned, Path(folder), which))
            rounds.reference.append(taken / len(sampled))
            differences[which] = largest_difference(compared, result, sampled)
    for which, rounds in by_passes.items():
        tolerance = tolerance_of(setting.model.dtype)
        yield rounds.outcome(f"{case}; passes: {which}", "a query", differences[which], tolerance=tolerance)


def largest_difference(theirs: Mapping[str, Compared], ours: TrialResult, queries: list[int]) -> float:
    """The largest difference of SimAOU and SimAM of some queries, by layer.

    Raises:
        ModelError: a prediction is another.
    """
    differences = []
    for method, compared in theirs.items():
        if (ours.log_probabilities[method][queries].argmax(1) != compared.predicted).any():
            raise ModelError(f"The predictions of {method} are not those of the reference")
        for metric, values in (("sim_aou", compared.sim_aou), ("sim_am", compared.sim_am)):
            differences.append(np.abs(ours.by_layer[Entry(metric, method)][queries] - values).max())
    return float(max(differences))


def learning(setting: Setting, say: Say) -> Iterator[Outcome]:
    """Standard finetuning, layer-causal finetuning of all layers at once, and linearised finetuning."""
    reference, shown, rate = PlainLearning(setting.model), setting.prompts.demonstrations, setting.learning_rate
    many, few = (replace(shown, learning_order=shown.learning_order[:steps]) for steps in setting.effort.steps)
    yield _learning(Finetuning(rate), "finetuning", setting, say, many, reference.finetune)
    yield _learning(LayerCausal(rate), "layer_causal", setting, say, few, reference.learn_by_layer)
    yield _learning(Linearized(rate), "linearized", setting, say, few, reference.learn_linearised)


def _learning(
    method: Finetuning | LayerCausal | Linearized,
    learning: Learning,
    setting: Setting,
    say: Say,
    shown: Demonstrations,
    reference: Learn,
) -> Outcome:
    model, rounds, steps = setting.model, Rounds(), len(shown.sequences)
    lengths = [len(sequence) for sequence in shown.sequences]
    work, tokens = sum(step_operations(model, length, learning) for length in lengths), round(mean(lengths))
    at_once = tokens * (model.layers if learning == "layer_causal" else 1)  # all blocks are read together
    case = f"learning by {method.name}, {steps} demonstrations of {tokens} tokens"
    method.learn(setting.model, replace(shown, learning_order=shown.learning_order[:1]))  # what is done only once
    for number in range(setting.effort.rounds):
        say(f"{case}: round {number + 1}")
        theirs, spent = timed(lambda: reference(shown.sequences, setting.learning_rate))
        rounds.reference.append(spent / steps)
        before = machine_rate(model, tokens, head=at_once)
        ours, spent = timed(lambda: method.learn(model, shown).weights)
        rounds.ours.append(spent / steps)
        rounds.count(work / spent, before, machine_rate(model, tokens, head=at_once))
    return rounds.outcome(case, "a step", max(float((ours[name] - theirs[name]).abs().max()) for name in theirs))
