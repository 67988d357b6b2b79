"""Models that cannot do what claims about similarity say: never trained, or updated by noise; and trials of them."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from icl_claims.evidence.trials import Results, TrialsEvidence
from icl_claims.experiments import batches
from icl_claims.experiments.plan import Run, plan_trials, resolve
from icl_claims.experiments.profiles import Choices, find_profile
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec, joined
from icl_claims.experiments.studies import LEARNING, ZERO_SHOT
from icl_claims.experiments.trial import prompts_of, run_trial
from icl_claims.methods import Batch, GaussianUpdate, learns_weights
from icl_claims.metrics import Answer
from icl_claims.models import LanguageModel
from icl_claims.questions import TRAINED, Question

DESIGN = Choices(find_profile("tiny"), device="cpu", k=8, queries=16, seeds=tuple(range(8)))
"""Half as many demonstrations and draws as the profile's; the small model still learns all six tasks."""
STUDIES_RUN = ("main", "updates", "labels", "clips")
LINEARISED = "linearized"
ON_SOME_TASKS = {
    LINEARISED: {"sst2", "sst5", "mr", "subj"},
    "layer_causal_clip_to_finetuning": {"subj"},
    **dict.fromkeys(
        (
            *("in_context_random_labels", "finetuning_random_labels"),
            *(f"layer_causal_clip_{at}" for at in ("0.2", "1", "5", "9", "15", "layers_1", "linf_12")),
        ),
        frozenset(),
    ),
}
"""The tasks on which claims ask for a method; no claim needs those with none."""
NEVER_TRAINED = (
    *(LINEARISED, "layer_causal_sequential", "in_context_cyclic_labels", "finetuning_cyclic_labels"),
    *("layer_causal_clip_12", "layer_causal_clip_to_finetuning"),
)
"""What takes longest, and is left out where no model was trained."""


@dataclass(frozen=True, eq=False)
class OfTheseWeights(TrialsEvidence):
    """Trials that hold nothing of a model's untrained twin: it is then no null, which can only help a claim."""

    def measures(self, question: Question) -> bool:
        """Whether all that a question is about is of the model as it is."""
        return super().measures(question) and all(one.weights == TRAINED for one in question.quantities)


@dataclass(frozen=True, eq=False)
class PlantedModel:
    """A model's trials, by task: one for each draw holds the methods of all studies, another whether it learns."""

    name: str
    results: Results
    learning: Results

    @property
    def evidence(self) -> TrialsEvidence:
        """What claims are asked of."""
        return OfTheseWeights(dict.fromkeys(STUDIES_RUN, self.results) | {LEARNING: self.learning}, {"profile": "tiny"})

    def learning_like(self, other: PlantedModel) -> PlantedModel:
        """The same with the learning of another model, which opens or closes the gate."""
        return replace(self, learning=other.learning)


def untrained_model(name: str, model: LanguageModel) -> PlantedModel:
    """The trials of a model that was never trained."""
    run = resolve(DESIGN, model)
    results = _by_task((spec, run_trial(spec, model, run.data[spec.task])) for spec in _specs(run, NEVER_TRAINED))
    return PlantedModel(name, results, _learning(run, model))


def with_noise(model: LanguageModel, seeds: Sequence[int]) -> list[PlantedModel]:
    """A model, and for each seed one of the same learning and predictions, whose updates are Gaussian, as long."""
    run = resolve(DESIGN, model)
    learning, ran = _learning(run, model), [(spec, _results(run, spec, model, seeds)) for spec in _specs(run)]
    names = ("trained", *(f"Gaussian updates of seed {seed}" for seed in seeds))
    return [
        PlantedModel(name, _by_task((spec, results[place]) for spec, results in ran), learning)
        for place, name in enumerate(names)
    ]


def _learning(run: Run, model: LanguageModel) -> Results:
    return _by_task((spec, run_trial(spec, model, run.data[spec.task])) for spec in plan_trials(run, LEARNING))


def _specs(run: Run, without: Collection[str] = ()) -> list[TrialSpec]:
    """One trial for every task and draw, of all studies, with the methods that claims need there."""

    def needed(method: str, task: str) -> bool:
        return method not in without and task in ON_SOME_TASKS.get(method, {task})

    together = joined(spec for study in STUDIES_RUN for spec in plan_trials(run, study)).values()
    return [replace(one, methods=tuple(m for m in one.methods if needed(m.name, one.task))) for one in together]


def _results(run: Run, spec: TrialSpec, model: LanguageModel, seeds: Sequence[int]) -> list[TrialResult]:
    """The result of a trial, and for each seed what it would be with noise for updates."""
    data = run.data[spec.task]
    prompts = prompts_of(spec, model, data)
    gold, lengths = np.array(prompts.gold), [len(span) for span in prompts.demonstrations.spans]
    by_layer: list[dict[Any, np.ndarray]] = [{} for _ in seeds]

    def measure_noise(queries: list[int], answers: Mapping[str, Answer]) -> None:
        own = Batch(answers, answers[ZERO_SHOT.name], queries, batches.partners_in(queries), spec.seed)
        for seed, whole in zip(seeds, by_layer, strict=True):
            noisy = replace(own, answers={**answers, **_noise(own, spec, seed)})
            for entry, values in batches.measure(spec, noisy, gold[queries], lengths)["by_layer"].items():
                rows = (len(gold), *values.shape[1:])
                whole.setdefault(entry, np.full(rows, np.nan, values.dtype))[queries] = values

    own = run_trial(spec, model, data, watch=measure_noise)
    return [own, *(replace(own, by_layer=of_seed) for of_seed in by_layer)]


def _noise(batch: Batch, spec: TrialSpec, seed: int) -> dict[str, Answer]:
    """The same predictions, with attention moved as far as each method moves it, in directions that no null repeats.

    Each method has a stream of its own. Where the demonstrations are attended to, nothing is planted or measured.
    """
    planted: dict[str, Answer] = {}
    for method in spec.methods:
        if learns_weights(method) and method.name in batch.answers:
            drawn = replace(batch, seed=zlib.crc32(f"{seed}:{spec.seed}:{method.name}".encode()))
            moved = GaussianUpdate(method).answer(drawn)
            said = batch.answers[method.name].log_probabilities
            planted[method.name] = replace(moved, log_probabilities=said)
    return planted


def _by_task(ran: Iterable[tuple[TrialSpec, TrialResult]]) -> dict[str, list[TrialResult]]:
    results: dict[str, list[TrialResult]] = {}
    for spec, result in ran:
        results.setdefault(spec.task, []).append(result)
    return results
