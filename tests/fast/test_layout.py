"""Packed rows are given rows of their own and packed again without loss, and each token sees what it may."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.models.layout import Layout

some_lengths = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)
windows = st.none() | st.integers(1, 9)
CPU = torch.device("cpu")


@given(lengths=some_lengths)
def test_every_row_gets_its_own_tokens_and_packing_undoes_it(lengths):
    layout = Layout(lengths, CPU)
    packed = torch.arange(2 * layout.tokens * 3.0).view(2, layout.tokens, 3)
    padded = layout.pad(packed)
    for row, (own, length) in enumerate(zip(packed.split(lengths, dim=1), lengths, strict=True)):
        assert torch.equal(padded[row, :, :length], own)
    assert torch.equal(layout.pack(padded), packed)
    assert torch.equal(layout.pack(padded[..., 0]), packed[..., 0])


@given(lengths=some_lengths, window=windows)
def test_a_token_sees_its_row_up_to_itself_within_the_window(lengths, window):
    layout = Layout(lengths, CPU)
    for place, row in enumerate(layout.sees_itself(window).tolist()):
        assert [i for i, seen in enumerate(row) if seen] == [
            i for i in range(place + 1) if window is None or place - i < window
        ]


@given(lengths=some_lengths, window=windows, prefix=st.integers(1, 8))
def test_a_token_sees_the_prefix_within_its_window(lengths, window, prefix):
    layout = Layout(lengths, CPU)
    seen = layout.sees_prefix(prefix, window)
    wanted = torch.tensor(
        [
            [window is None or prefix + column - i < window for i in range(prefix)]
            for length in lengths
            for column in range(length)
        ]
    )
    assert torch.equal(torch.ones_like(wanted) if seen is None else seen, wanted)


@given(lengths=some_lengths, column=st.integers(-1, 0))
def test_a_column_is_found_in_every_row_of_the_packed_tokens(lengths, column):
    layout = Layout(lengths, CPU)
    starts = [sum(lengths[:row]) for row in range(len(lengths))]
    wanted = [start + (length - 1 if column else 0) for start, length in zip(starts, lengths, strict=True)]
    assert layout.packed_index(column).tolist() == wanted
