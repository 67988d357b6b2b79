"""Set-ups: ready-made ones, and what a reader changes: model, demonstrations, draws, queries, rates, readings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icl_claims import errors, models
from icl_claims.experiments.studies import LEARNING, STUDIES, find_study
from icl_claims.models.reference import find_device, load_model
from icl_claims.protocol import Calibration, Protocol, QueryDraw, Separator
from icl_claims.tasks import catalogue, sources


@dataclass(frozen=True)
class Profile:
    """A set-up of trials.

    Args:
        model: reference of its model; None where the reader must name one.
        queries: queries asked; None for all, up to 2000.
        draws: how many draws of demonstrations are run for each task: the unit of inference.
        query_draw: whether each asks queries of its own; else all are crossed with the same ones, and the authors' own
            three (seed, permutation) pairs come first.
        source: of the examples, where the reader names no data directory.
        needs_cuda: whether it is not run without a CUDA device unless the reader names a device.
    """

    name: str
    model: str | None
    k: int
    queries: int | None
    draws: int
    query_draw: QueryDraw
    calibration: Calibration
    learning_rates: Mapping[str, float]
    source: sources.DataSource = sources.MINIATURE
    separator: Separator = "end_of_text"
    studies: tuple[str, ...] = tuple(STUDIES)
    needs_cuda: bool = False

    @property
    def protocol(self) -> Protocol:
        """Its readings, where the reader names none."""
        return Protocol(calibration=self.calibration, separator=self.separator, query_draw=self.query_draw)


APART = 1_000_000
"""What is added to the seed of a draw for one that is apart from all others."""
PUBLISHED_RATES = {
    name: rate for name in catalogue.PAPERS_TASKS if (rate := catalogue.TASKS[name].learning_rate) is not None
}
# Of .001, .003, .01, .03, .1 and .3, the rate whose finetuned model is most accurate (calibrated) on 40 training
# examples that are not among its 16 demonstrations, the mean over six draws (miniature tasks, seeds 101 to 106): what
# `icl-claims tune` finds. No query was looked at. On SST5, MR and AGNews it is the smallest that was tried; on CB no
# rate was more accurate than the most frequent label.
EMBEDDED_RATES = {"sst2": 0.01, "sst5": 0.001, "mr": 0.001, "subj": 0.03, "agnews": 0.001, "cb": 0.003}
# Of .3, .5, 1, 1.5, 2, 3, 5 and 10, the rate whose finetuned model is most accurate on 40 training examples that are
# not among its 16 demonstrations, the mean over six draws (synthetic tasks, seeds 101 to 106); the larger of equals. No
# query was looked at. Up to .3 finetuning changes hardly an answer of so small a model; at 10 it is back near chance.
TINY_RATES = {"sst2": 1.5, "sst5": 2.0, "mr": 2.0, "subj": 3.0, "agnews": 3.0, "cb": 3.0}

# k, separator and calibration of the profile embedded are what `icl-claims tune-prompting` found on training examples
# of the miniature tasks; no query was looked at. All 36 ways were tried on 16 of them in each of four draws (seeds 101
# to 104); k = 8 and 16 with an end of text or a blank line, without CB, on 16 in each of twelve (105 to 116); and k =
# 16 on 64 in each of twelve more (117 to 128). There batch calibration beats zero-shot and the most frequent label
# on five tasks, all but CB, with either separator (the mean margin is .046 with both); contextual calibration does on
# two, and without calibration no task is learned.
WITHIN_MINUTES = ("main", "labels", "untrained", LEARNING)
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("tiny", "tiny", 16, 32, 24, "own", "none", TINY_RATES, sources.SYNTHETIC),
        Profile("embedded", "embedded", 16, 16, 12, "own", "batch", EMBEDDED_RATES, studies=WITHIN_MINUTES),
        Profile("paper", None, 32, None, 12, "same", "none", PUBLISHED_RATES, needs_cuda=True),
    )
}


def find_profile(name: str) -> Profile:
    """The profile of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in PROFILES:
        raise errors.UsageError("Unknown profile", expected=f"one of {', '.join(PROFILES)}", got=repr(name))
    return PROFILES[name]


@dataclass(frozen=True)
class Choices:
    """A profile, and what the reader changed of it; None leaves the profile's value.

    The fields are those of `icl_claims.experiments.options.OPTIONS`; `protocol` holds the readings that were named.
    """

    profile: Profile
    model: str | None = None
    data: Path | None = None
    tasks: tuple[str, ...] | None = None
    k: int | None = None
    seeds: tuple[int, ...] | None = None
    first_seed: int | None = None
    replicates: int | None = None
    queries: int | None = None
    device: str | None = None
    dtype: str | None = None
    rates: Path | None = None
    studies: tuple[str, ...] | None = None
    tokens_per_batch: int | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.seeds is not None and len({*self.seeds}) < len(self.seeds):
            wanted, got = (
                "different ones: the same draw twice is no second observation",
                ", ".join(map(str, self.seeds)),
            )
            raise errors.UsageError("Two of the ⟨seeds⟩ are the same", expected=wanted, got=got)
        for name in ("replicates", "first_seed"):
            if self.seeds is not None and getattr(self, name) is not None:
                raise errors.UsageError(f"Both ⟨seeds⟩ and ⟨{name}⟩ say which draws are run", expected="one of them")

    @property
    def changed(self) -> tuple[str, ...]:
        """What the reader changed that can change a verdict."""
        names = ("model", "data", "tasks", "k", "seeds", "first_seed", "replicates", "queries", "dtype", "rates")
        given = {name: getattr(self, name) for name in names} | {"model": self.model if self._other_model else None}
        default = self.profile.protocol
        readings = [name for name, value in self.protocol.items() if value != getattr(default, name)]
        return (*(name for name, value in given.items() if value is not None), *readings)

    @property
    def _other_model(self) -> bool:
        return self.model not in (None, self.profile.model)

    @property
    def model_reference(self) -> str:
        """The reference of the model to load.

        Raises:
            UsageError: the profile has none and the reader named none.
        """
        reference = self.model or self.profile.model
        if reference is None:
            todo = "Name one: ⟨model⟩ fairseq:DIR, path:DIR or hub:NAME."
            raise errors.UsageError(f"The profile {self.profile.name} has no model of its own", todo=todo)
        return reference

    @property
    def where(self) -> dict[str, str]:
        """The dtype and the kind of device of the model to load.

        Raises:
            ModelError: there is no such device.
        """
        name = "auto" if self.device in (None, "spread") else self.device
        return {"dtype": self.dtype or "float32", "device": find_device(name).type}

    def load_model(self, say: models.Say = lambda _text: None) -> models.LanguageModel:
        """The model to run.

        Raises:
            UsageError: the profile has none and the reader named none.
            ModelError: it cannot be loaded, or there is no such device or dtype.
        """
        return load_model(self.model_reference, device=self.device or "auto", dtype=self.dtype or "float32", say=say)

    @property
    def source(self) -> sources.DataSource:
        """Where the examples come from.

        Raises:
            DataError: the data directory is not a folder.
        """
        return self.profile.source if self.data is None else sources.real_tasks(self.data)

    def chosen_tasks(self) -> tuple[catalogue.Task, ...]:
        """The tasks to run: known ones in the catalogue's order, then the reader's, whose names have a slash.

        Raises:
            UsageError: an unknown name.
            DataError: a folder of the reader's cannot be read.
        """
        names = self.tasks or catalogue.PAPERS_TASKS
        named = [
            catalogue.read_own_task(Path(one)) if "/" in one or "\\" in one else catalogue.known_task(one)
            for one in names
        ]
        known = {task.name for task in named if not task.own}
        own = {task.name: task for task in named if task.own}
        return (*(task for task in catalogue.TASKS.values() if task.name in known), *own.values())

    def chosen_studies(self) -> tuple[str, ...]:
        """The studies that are run where a claim asks for them.

        Raises:
            UsageError: an unknown name.
        """
        names = self.profile.studies if self.studies is None else self.studies
        return tuple(find_study(name).name for name in names)

    @property
    def draws(self) -> int:
        """How many draws of demonstrations are run of each task, unless a budget says when to stop."""
        return len(self.seeds) if self.seeds is not None else self.replicates or self.profile.draws

    @property
    def fixed(self) -> bool:
        """Whether the reader said how many draws are run, whatever they say on the way."""
        return self.seeds is not None or self.replicates is not None

    def runs(
        self, task: catalogue.Task, *, apart: bool = False, draws: int | None = None
    ) -> tuple[tuple[int, int], ...]:
        """The (seed, permutation) pairs of the first draws of a task, by default all; `apart`, as many others.

        Where the authors' come first, those that follow go on as theirs do, in the order drawn and in two others.
        """
        many = self.draws if draws is None else draws
        if self.seeds is not None:
            pairs = [(seed, 0) for seed in self.seeds[:many]]
        elif self.profile.query_draw == "own":
            pairs = [((self.first_seed or 0) + number, 0) for number in range(many)]
        else:
            authors = task.runs if self.first_seed is None else ()
            first = max((seed for seed, _ in authors), default=(self.first_seed or 0) - 1) + 1
            pairs = [*authors, *((first + number, number % 3) for number in range(many))][:many]
        return tuple((seed + APART * apart, permutation) for seed, permutation in pairs)
