"""How history is chunked leaves no trace in it."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fairlead.data.blocks import assemble
from support_actions import actions_of_any_kind
from support_bars import bar_table

SYMBOLS = ("A", "B", "C")
FIELDS = ("label_ns", "known_ns", "session", "open", "high", "low", "close", "volume", "mark")

tables = st.tuples(st.integers(1, 40), st.booleans(), st.booleans()).flatmap(
    lambda shape: st.builds(
        lambda present: bar_table(shape[0], SYMBOLS, present=present, daily=shape[2], per_session=3),
        st.just(np.ones((shape[0], 3), bool)) if shape[1] else hnp.arrays(bool, (shape[0], 3)).filter(np.any),
    )
)
actions = st.lists(actions_of_any_kind(SYMBOLS, st.integers(0, 20)), max_size=6)


def delivered(blocks, name):
    return np.concatenate([getattr(block, name)[block.start :] for block in blocks])


@given(tables, actions, st.integers(0, 12), st.integers(1, 15), st.lists(st.integers(0, 130), max_size=12))
def test_any_chunking_gives_the_same_rows_marks_actions_and_carry(table, actions, carry, rows, cuts):
    """Chunks and block sizes of any kind equal one big block; carried rows are the rows before."""
    (whole,) = assemble([table], SYMBOLS, carry=0, actions=actions, rows=10_000)
    edges = sorted({0, table.num_rows, *(cut for cut in cuts if cut < table.num_rows)})
    chunks = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    blocks = list(assemble(chunks, SYMBOLS, carry=carry, actions=actions, rows=rows))

    for name in FIELDS:
        np.testing.assert_array_equal(delivered(blocks, name), getattr(whole, name))
    done = 0
    placed = []
    for block in blocks:
        assert len(block) - block.start == min(rows, len(whole) - done)
        assert block.start == min(carry, done)
        first = done - block.start
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(block, name), getattr(whole, name)[first : first + len(block)])
        expected = [e for e in whole.actions if first <= e.row < first + len(block)]
        assert [e._replace(row=e.row + first) for e in block.actions] == expected
        placed += [e._replace(row=e.row + first) for e in block.actions if e.row >= block.start]
        done += len(block) - block.start
    assert done == len(whole)
    assert placed == list(whole.actions)
