"""Both ways to a window, and both forms of a month, give the same history."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fairlead.data.blocks import assemble, assemble_pieces, panels_of
from fairlead.data.fingerprint import bars_sha256
from fairlead.data.selection import DateRange
from fairlead.data.wide import WIDE_FILE, WideMonth, write_wide
from fairlead.data.windows import cut, gather
from support_actions import actions_of_any_kind
from support_bars import bar_table

SYMBOLS = ("A", "B", "C")
FIELDS = ("label_ns", "known_ns", "session", "open", "high", "low", "close", "volume", "mark")

tables = st.integers(1, 40).flatmap(
    lambda height: st.builds(
        lambda present, seed: bar_table(height, SYMBOLS, present=present, daily=False, per_session=3, seed=seed),
        st.one_of(st.just(np.ones((height, 3), bool)), hnp.arrays(bool, (height, 3)).filter(np.any)),
        st.integers(0, 99),
    )
)
cuts = st.lists(st.integers(1, 120), max_size=8)


def chunks_of(table, cuts):
    edges = sorted({0, table.num_rows, *(at for at in cuts if at < table.num_rows)})
    return [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]


@given(tables, cuts, st.integers(1, 12), st.integers(1, 15), st.integers(1, 120), st.integers(1, 60))
def test_gathered_windows_are_the_cut_ones_whatever_the_buffer(table, cuts, keep, rows, cells, expected):
    """However often the buffer is full, and however wrong the number of instants that was foretold."""
    chunks = chunks_of(table, cuts)
    expected_windows = list(cut(panels_of(chunks, SYMBOLS, rows=4), keep=keep, rows=rows))
    pieces = panels_of(chunks, SYMBOLS, rows=4)
    windows = list(gather(pieces, 3, keep=keep, rows=rows, expected=expected, cells=cells))  # all kept: none is overwritten
    assert len(windows) == len(expected_windows)
    for window, other in zip(windows, expected_windows, strict=True):
        assert window.carried == other.carried
        for found, array in zip((*window.panel, window.mark), (*other.panel, other.mark), strict=True):
            np.testing.assert_array_equal(found, array, strict=True)


@given(
    tables,
    st.sets(st.sampled_from((*SYMBOLS, "D")), min_size=1).map(lambda names: tuple(sorted(names))),
    st.lists(actions_of_any_kind(SYMBOLS, st.integers(0, 20)), max_size=4),
    st.integers(0, 12),
    st.integers(1, 15),
)
def test_the_wide_form_gives_the_blocks_of_the_long_one(table, symbols, actions, carry, rows):
    with tempfile.TemporaryDirectory() as folder:
        path, digest = Path(folder) / WIDE_FILE, bars_sha256(table)
        assert write_wide(path, table, digest)
        month = WideMonth.open(path, digest)
        assert month is not None
        pieces = month.pieces(symbols, DateRange())
        found = list(assemble_pieces(pieces, symbols, carry=carry, actions=actions, rows=rows, expected=40))
    expected = list(assemble([table], symbols, carry=carry, actions=actions, rows=rows))
    assert len(found) == len(expected)
    for block, other in zip(found, expected, strict=True):
        assert (block.start, block.actions) == (other.start, other.actions)
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(block, name), getattr(other, name), strict=True)


@given(tables, st.integers(1, 4), st.integers(0, 2))
def test_a_row_that_is_kept_stays_what_it_was_while_history_goes_on(table, rows, column):
    """Memory is used again only when nobody looks at it any more."""
    kept, copies = [], []
    for window in gather(panels_of([table], SYMBOLS, rows=1), 3, keep=1, rows=rows, expected=99, cells=3):
        row = window.panel[3 + column][-1]  # a view of one row, as a strategy may keep it
        kept.append(row)
        copies.append(row.copy())
        del window, row
    np.testing.assert_array_equal(np.array(kept), np.array(copies))
