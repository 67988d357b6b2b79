"""How the queries of a batch lie end to end, without padding, and how each gets a row of its own when it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """The rows of a batch, packed into one sequence of `tokens` = sum of their lengths.

    Args:
        lengths: tokens of each row.
        device: where index tensors are made.
    """

    lengths: tuple[int, ...]
    device: torch.device
    _elsewhere: dict[torch.device, Layout] = field(default_factory=dict, init=False, repr=False)

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

    def packed_index(self, columns: Sequence[int]) -> Int[Tensor, " rows"]:
        """Packed index of one column of each row; a negative column counts from the row's end."""
        inside = [column % length for column, length in zip(columns, self.lengths, strict=True)]
        return self.starts + torch.tensor(inside, device=self.device)

    def pad(self, packed: Tensor) -> Tensor:
        """Packed [heads, tokens, size] as padded [heads, rows, width, size], zeros where there is no token."""
        heads, _, size = packed.shape
        if self.rows == 1:
            return packed[:, None]
        padded = packed.new_zeros(heads, self.rows * self.width, size)
        return padded.index_copy(1, self.slot, packed).view(heads, self.rows, self.width, size)

    def pack(self, padded: Tensor) -> Tensor:
        """Padded [heads, rows, width, size] as packed [heads, tokens, size]."""
        heads, rows, width, size = padded.shape
        return padded.reshape(heads, rows * width, size).index_select(1, self.slot)
