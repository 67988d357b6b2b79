"""What the methods of a trial learned: in memory while it is little, else in files, read when it is asked for."""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from icl_claims.errors import StoreError, StoreWarning
from icl_claims.experiments.learned_arrays import bytes_of, packed, unpacked
from icl_claims.experiments.token_budget import free_memory
from icl_claims.methods import Learned
from icl_claims.models.language_model import LanguageModel
from icl_claims.storage.checksummed import read_again, write_checksummed

ON_CPU = 256 * 2**20  # bytes: files are read from the system's own cache about as fast as memory is copied
_PREFIX = "learned-"
SHARE_ON_CUDA = 0.25  # of what is free: from files, weights must cross to the device for every batch


def memory_for_learned(device: torch.device) -> int:
    """How many bytes of what methods learned stay in the memory of a device."""
    return int(SHARE_ON_CUDA * free_memory(device)) if device.type == "cuda" else ON_CPU


@dataclass(eq=False)
class LearnedSpill(Mapping[str, Learned]):
    """What each method learned, by its name, in the order in which it came; the same bits from memory and from files.

    Args:
        model: that learned.
        in_memory: bytes that stay in memory, at most, unless they can be put nowhere else.
        near: folder of this process alone, in which others are put; None for the system's own for temporary files.
    """

    model: LanguageModel
    in_memory: int
    near: Path | None = None
    _held: dict[str, Learned] = field(default_factory=dict)
    _files: dict[str, Path] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)
    _aside: Path | None = None
    _can_be_put_aside: bool = True

    def put(self, method: str, learned: Learned, folder: Path | None = None) -> None:
        """Add what a method learned.

        Args:
            method: its name.
            learned: by it.
            folder: sealed, that holds it; None for none.
        """
        self._names.append(method)
        if not self._fits(learned) and (place := folder or self._put_aside(learned)) is not None:
            self._files[method] = place
        else:
            self._held[method] = learned

    def put_file(self, method: str, folder: Path) -> None:
        """Add what a method learned before, and a sealed folder holds."""
        self._names.append(method)
        self._files[method] = folder

    def __getitem__(self, method: str) -> Learned:
        """What a method learned.

        Raises:
            KeyError: it learned nothing yet.
            StoreError: somebody cut or removed the file that holds it.
        """
        if method in self._held:
            return self._held[method]
        try:
            manifest, arrays = read_again(self._files[method])
        except StoreError as error:
            todo = "Run it again: what else is finished of the trial is taken up."
            raise StoreError(f"What {method} learned was cut or removed meanwhile: {error}", todo=todo) from error
        learned = unpacked(manifest.facts["learned"], arrays, self.model)
        if self._fits(learned):
            self._held[method] = learned
        return learned

    def __contains__(self, method: object) -> bool:
        return method in self._held or method in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _fits(self, learned: Learned) -> bool:
        return bytes_of(*self._held.values(), learned) <= self.in_memory

    def _put_aside(self, learned: Learned) -> Path | None:
        """The folder where it lies now; None where nothing can be written."""
        if not self._can_be_put_aside:
            return None
        facts, arrays = packed(learned)
        try:
            if self._aside is None:
                self._aside = self._folder_of_this_run()
            folder = self._aside / str(len(self))
            write_checksummed(folder, folder.name, {"learned": facts}, arrays)
        except OSError as error:
            self._can_be_put_aside = False
            text = f"What methods learn stays in memory, for it can be written nowhere ({error})."
            warnings.warn(text, StoreWarning, stacklevel=2)
            return None
        return folder

    def _folder_of_this_run(self) -> Path:
        """A new folder, removed with this object."""
        if self.near is not None:
            self.near.mkdir(parents=True, exist_ok=True)
            for left_by_a_killed_run in self.near.glob(f"{_PREFIX}*"):
                shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=self.near)
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)
