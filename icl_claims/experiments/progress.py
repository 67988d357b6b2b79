"""The progress of a trial: what methods learned, spilled to files where it is much, and blocks of answered queries.

All of it is written to a checkpoint, from which a trial is resumed where a run was killed.
"""

import shutil
import tempfile
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icl_claims import errors, models, tasks
from icl_claims.experiments import batches, result
from icl_claims.methods import AskedInOtherWords, Learned, Method
from icl_claims.storage import checksummed

LEARNED = "learned"
_SPILLED = "learned-"
_INNER = "|"
_PARAPHRASED = "paraphrased"


@dataclass(eq=False)
class LearnedSpill(Mapping[Method, Learned]):
    """What each method learned, in the order in which it came; the same bits from memory and from files.

    Args:
        in_memory: limit of the bytes that stay in memory, unless they can be written nowhere.
        near: folder of this process alone, in which files are written; None for the system's temporary folder.
    """

    model: models.LanguageModel
    in_memory: int
    near: Path | None = None
    _places: dict[Method, Learned | Path] = field(default_factory=dict)
    _folder: Path | None = None
    _can_be_written: bool = True

    def put(self, method: Method, learned: Learned, folder: Path | None = None) -> None:
        """Add what a method learned; the checksummed folder is one that holds it already."""
        self._places[method] = learned if self._fits(learned) else folder or self._spilled(learned) or learned

    def put_file(self, method: Method, folder: Path) -> None:
        """Add what a method learned before, and a checksummed folder holds."""
        self._places[method] = folder

    def __getitem__(self, method: Method) -> Learned:
        """What a method learned.

        Raises:
            KeyError: it learned nothing yet.
            StoreError: somebody cut or removed the file that holds it.
        """
        place = self._places[method]
        if isinstance(place, Learned):
            return place
        try:
            manifest, arrays = checksummed.read_checksummed(place, verified=False)
        except errors.StoreError as error:
            todo = "Run it again: what else is finished of the trial is read from its checkpoint."
            raise errors.StoreError(
                f"What {method.name} learned was cut or removed meanwhile: {error}", todo=todo
            ) from error
        learned = unpacked(manifest.facts["learned"], arrays, self.model)
        if self._fits(learned):
            self._places[method] = learned
        return learned

    def __contains__(self, method: object) -> bool:
        return method in self._places

    def __iter__(self) -> Iterator[Method]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _fits(self, learned: Learned) -> bool:
        held = (place for place in self._places.values() if isinstance(place, Learned))
        return bytes_of(*held, learned) <= self.in_memory

    def _spilled(self, learned: Learned) -> Path | None:
        """The folder that holds it now; None if it cannot be written."""
        if not self._can_be_written or (content := packed(learned)) is None:
            return None
        facts, arrays = content
        try:
            self._folder = self._folder or self._folder_of_this_run()
            folder = self._folder / str(len(self))
            checksummed.write_checksummed(folder, folder.name, {"learned": facts}, arrays)
        except OSError as error:
            self._can_be_written = False
            text = f"What methods learn stays in memory, for it can be written nowhere ({error})."
            warnings.warn(text, errors.StoreWarning, stacklevel=2)
            return None
        return folder

    def _folder_of_this_run(self) -> Path:
        """A new folder, removed with this object."""
        if self.near is not None:
            self.near.mkdir(parents=True, exist_ok=True)
            for left_by_a_killed_run in self.near.glob(f"{_SPILLED}*"):
                shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix=_SPILLED, dir=self.near)
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def bytes_of(*learned: Learned) -> int:
    """How much memory what methods learned takes, the model aside; what they share is counted once."""
    tensors = (tensor for each in learned for tensor in _all_tensors(each))
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


def packed(learned: Learned) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """What a method learned as facts and arrays, without the model; None if it holds what neither can express.

    A method's own kind of Learned may add prefixes, tensors by name, arrays, numbers, texts, and tuples of these two.
    """
    if isinstance(learned, AskedInOtherWords):
        inner = packed(learned.learned)
        return None if inner is None else ({"kind": _PARAPHRASED, "learned": inner[0]}, inner[1])
    values = {one.name: getattr(learned, one.name) for one in fields(learned) if one.name != "model"}
    if not all(map(_can_be_packed, values.values())):
        return None
    tensors = {f"{name}{_INNER}{inner}": tensor for name, held in values.items() for inner, tensor in _tensors(held)}
    arrays = {name: held for name, held in values.items() if isinstance(held, np.ndarray)}
    facts = {
        "kind": _name_of(type(learned)),
        "tokens": {name: held.tokens for name, held in values.items() if isinstance(held, models.Prefix)},
        "named": [name for name, held in values.items() if isinstance(held, Mapping)],
        "plain": {
            name: held for name, held in values.items() if not isinstance(held, np.ndarray | models.Prefix | Mapping)
        },
        "layout": {name: (str(held.dtype).removeprefix("torch."), held.stride()) for name, held in tensors.items()},
    }
    as_bytes = {name: tensor.detach().cpu().contiguous().view(torch.uint8).numpy() for name, tensor in tensors.items()}
    return facts, as_bytes | arrays


def unpacked(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], model: models.LanguageModel) -> Learned:
    """What a method learned, from what `packed` gave; tensors are laid out in memory as they were."""
    if facts["kind"] == _PARAPHRASED:
        return AskedInOtherWords.of(unpacked(facts["learned"], arrays, model))
    places = {name: value.device for name, value in model.tuned_values().items()}
    of_layers = {parameter.layer: places[parameter.name] for parameter in model.tuned_parameters}
    tokens: Mapping[str, int] = facts["tokens"]
    tensors: dict[str, dict[str, Tensor]] = {name: {} for name in (*tokens, *facts["named"])}
    for name, (dtype, stride) in facts["layout"].items():
        outer, _, inner = name.partition(_INNER)
        place = of_layers[int(inner.rpartition(_INNER)[2])] if outer in tokens else places.get(inner, model.device)
        tensors[outer][inner] = _tensor(arrays[name], dtype, stride).to(place)
    values: dict[str, Any] = {name: array for name, array in arrays.items() if _INNER not in name}
    values |= {name: _prefix(of, tokens[name]) if name in tokens else of for name, of in tensors.items()}
    values |= {name: tuple(value) if isinstance(value, list) else value for name, value in facts["plain"].items()}
    return _kinds()[facts["kind"]](model=model, **values)


def _kinds(kind: type[Learned] = Learned) -> dict[str, type[Learned]]:
    """Every class of what is learned by its name, those that users define among them."""
    below = (found for one in kind.__subclasses__() for found in _kinds(one).items())
    return {_name_of(kind): kind, **dict(below)}


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _can_be_packed(held: Any) -> bool:
    if isinstance(held, Mapping):
        return all(isinstance(value, Tensor) for value in held.values())
    if isinstance(held, tuple | list):
        return all(isinstance(value, int | float | str) for value in held)
    return isinstance(held, models.Prefix | np.ndarray | int | float | str | None)


def _all_tensors(learned: Learned) -> Iterator[Tensor]:
    for one in fields(learned):
        held = getattr(learned, one.name)
        yield from _all_tensors(held) if isinstance(held, Learned) else (tensor for _, tensor in _tensors(held))


def _tensors(held: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(held, models.Prefix):
        for side, layers in (("keys", held.keys), ("values", held.values)):
            yield from ((f"{side}{_INNER}{layer}", tensor) for layer, tensor in enumerate(layers))
    elif isinstance(held, Mapping):
        yield from ((name, tensor) for name, tensor in held.items() if isinstance(tensor, Tensor))


def _prefix(tensors: Mapping[str, Tensor], tokens: int) -> models.Prefix:
    layers = range(len(tensors) // 2)
    keys, values = (tuple(tensors[f"{side}{_INNER}{layer}"] for layer in layers) for side in ("keys", "values"))
    return models.Prefix(keys, values, tokens)


def _tensor(content: np.ndarray, dtype: str, stride: tuple[int, ...]) -> Tensor:
    """A tensor in memory of its own, aligned and laid out as it was, on which rounding can depend."""
    values = torch.from_numpy(content).view(getattr(torch, dtype))
    return torch.empty_strided(values.shape, tuple(stride), dtype=values.dtype).copy_(values)


@dataclass(eq=False)
class TrialProgress:
    """The finished parts of a trial, each written to the checkpoint at once.

    Args:
        tokens: limit of a batch of queries, as long as memory does not run out.
        checkpoint: where parts are written; None if nothing is.
        blocks: indices of queries that all methods have answered, and their numbers, by what `Prompts` calls them.
        failures: why a method gives nothing, by method.
        seconds: time spent, by what was done.
        notes: what happened on the way.
    """

    tokens: int
    learned: LearnedSpill
    checkpoint: checksummed.Checkpoint | None = None
    blocks: dict[str, list[tuple[list[int], result.BatchNumbers]]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: list[str] = field(default_factory=list)
    _tokens_left: dict[str, int] = field(default_factory=dict)

    def begin(self, facts: Mapping[str, Any], where: Mapping[str, Any], methods: Iterable[Method]) -> None:
        """Resume what an interrupted run finished, with its size of batches, or begin.

        Args:
            facts: about the trial, for whoever looks at the checkpoint.
            methods: those of the trial, no two of one name.
            where: the device it is run on; a trial resumed elsewhere says so, for its numbers may differ by rounding.
        """
        before, named = None, {method.name: method for method in methods}
        for part in () if self.checkpoint is None else self.checkpoint.recall():
            before = part.facts["where"] if part.kind == checksummed.START else before
            self._take_up(part, named)
        if before is None:
            self._keep(checksummed.START, {**facts, "tokens": self.tokens, "where": dict(where)}, {})
        elif before != where:
            then, now = (", ".join(f"{name} {value}" for name, value in place.items()) for place in (before, where))
            self.notes.append(f"begun with {then}, went on with {now}")

    def keep_learned(self, method: Method, learned: Learned) -> None:
        """Keep what a method learned: a change of weights took many steps, while a prefix is read again as fast."""
        folder = None
        if self.checkpoint is not None and learned.weights and (content := packed(learned)) is not None:
            facts, numbers = content
            folder = self._keep(LEARNED, {"method": method.name, "learned": facts}, numbers)
        self.learned.put(method, learned, folder)

    def answer(self, asked: str, queries: tasks.Queries, work: Callable[[list[int]], result.BatchNumbers]) -> None:
        """Have those queries answered that have no block yet, in the batches of an uninterrupted run, and keep them."""
        done = {index for batch, _ in self.blocks[asked] for index in batch}
        left = [index for index in range(len(queries)) if index not in done]
        batches.in_batches(
            queries,
            lambda batch, tokens: self.keep_block(asked, batch, work(batch), tokens),
            self._tokens_left.get(asked, self.tokens),
            among=left,
            say=self.notes.append,
        )

    def keep_block(self, asked: str, batch: list[int], numbers: result.BatchNumbers, tokens: int) -> None:
        """Keep the numbers of a batch of queries, and the limit of the batches that follow."""
        self.blocks[asked].append((batch, numbers))
        index, arrays = checksummed.flat(numbers)
        self._keep(asked, {"batch": batch, "groups": list(numbers), "index": index, "tokens": tokens}, arrays)

    def _keep(self, kind: str, facts: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> Path | None:
        if self.checkpoint is None:
            return None
        so_far = {"failures": self.failures, "seconds": dict(self.seconds), "notes": self.notes}
        return self.checkpoint.keep(kind, {**facts, **so_far}, numbers)

    def _take_up(self, part: checksummed.FinishedPart, methods: Mapping[str, Method]) -> None:
        facts = part.facts
        self.failures, self.notes = dict(facts["failures"]), list(facts["notes"])
        self.seconds = defaultdict(float, facts["seconds"])
        if part.kind == checksummed.START:
            self.tokens = facts["tokens"]
        elif part.kind == LEARNED:
            self.learned.put_file(methods[facts["method"]], part.folder)
        else:
            numbers: result.BatchNumbers = checksummed.grouped(
                facts["index"], part.numbers, facts["groups"], result.BY_ENTRY
            )
            self.blocks[part.kind].append((facts["batch"], numbers))
            self._tokens_left[part.kind] = facts["tokens"]
