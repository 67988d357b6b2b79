"""The layout of a batch: queries packed end to end without padding, and padded to rows where they must be."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """The rows of a batch, packed into one sequence of `tokens` = sum of their lengths."""

    lengths: tuple[int, ...]
    device: torch.device
    _elsewhere: dict[torch.device, Layout] = field(default_factory=dict, init=False, repr=False)
    _itself: dict[int | None, Tensor] = field(default_factory=dict, init=False, repr=False)
    _prefix: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False, repr=False)

    def on(self, device: torch.device) -> Layout:
        """The same rows, with index tensors on another device."""
        if device == self.device:
            return self
        return self._elsewhere.setdefault(device, Layout(self.lengths, device))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return sum(self.lengths)

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(self.lengths)

    @cached_property
    def row(self) -> Int[Tensor, " tokens"]:
        """The row that each packed token belongs to."""
        lengths = torch.tensor(self.lengths, device=self.device)
        return torch.repeat_interleave(torch.arange(self.rows, device=self.device), lengths, output_size=self.tokens)

    @cached_property
    def starts(self) -> Int[Tensor, " rows"]:
        """Where each row starts among the packed tokens."""
        lengths = torch.tensor(self.lengths, device=self.device)
        return lengths.cumsum(0) - lengths

    @cached_property
    def column(self) -> Int[Tensor, " tokens"]:
        """The place of each packed token in its row, from 0."""
        return torch.arange(self.tokens, device=self.device) - self.starts[self.row]

    @cached_property
    def slot(self) -> Int[Tensor, " tokens"]:
        """The place of each packed token in a padded [rows * width] arrangement."""
        return self.row * self.width + self.column

    @cached_property
    def real(self) -> Bool[Tensor, "rows width"]:
        """Which places of the padded arrangement hold a token."""
        lengths = torch.tensor(self.lengths, device=self.device)
        return torch.arange(self.width, device=self.device) < lengths[:, None]

    @cached_property
    def _source(self) -> Int[Tensor, " places"] | None:
        """The packed token in each place of the padded arrangement; None if the arrangements are the same."""
        if self.tokens == self.rows * self.width:
            return None
        places = self.starts[:, None] + torch.arange(self.width, device=self.device)
        return places.clamp(max=self.tokens - 1).flatten()

    def packed_index(self, column: int) -> Int[Tensor, " rows"]:
        """Packed index of a column of every row; a negative one counts from the row's end."""
        return self.starts + torch.tensor([column % length for length in self.lengths], device=self.device)

    def pad(self, packed: Tensor) -> Float[Tensor, "rows heads width size"]:
        """Packed [heads, tokens, size] by row; positions past a row's end hold an arbitrary token: mask with `real`."""
        by_token = packed.transpose(0, 1)
        if self._source is not None:
            by_token = by_token.index_select(0, self._source)
        return by_token.view(self.rows, self.width, *by_token.shape[1:]).transpose(1, 2)

    def pack(self, padded: Shaped[Tensor, "rows heads width *size"]) -> Shaped[Tensor, "heads tokens *size"]:
        """The rows end to end again, without the positions past their ends."""
        by_token = padded.transpose(1, 2).flatten(0, 1)
        if self._source is not None:
            by_token = by_token.index_select(0, self.slot)
        return by_token.transpose(0, 1)

    def sees_itself(self, window: int | None) -> Bool[Tensor, "width width"]:
        """Which tokens of its row each token of a row attends to: those up to itself, within a sliding window."""
        if window not in self._itself:
            place = torch.arange(self.width, device=self.device)
            distance = place[:, None] - place
            self._itself[window] = (distance >= 0) & (distance < (window or self.width))
        return self._itself[window]

    def sees_prefix(self, tokens: int, window: int | None) -> Bool[Tensor, "tokens prefix"] | None:
        """Which tokens of a prefix of so many each packed token attends to within a sliding window; None if to all."""
        if window is None or window >= tokens + self.width:
            return None
        if (tokens, window) not in self._prefix:
            place = torch.arange(tokens, device=self.device)
            self._prefix[tokens, window] = self.column[:, None] + tokens - place < window
        return self._prefix[tokens, window]
