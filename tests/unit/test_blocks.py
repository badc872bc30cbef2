"""Blocks are even, contiguous, read-only, and place every corporate action once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fairlead.core.errors import DataError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.data.blocks import assemble, block_rows
from support_bars import bar_table

ARRAYS = ("open", "high", "low", "close", "volume", "mark")


def test_a_dense_table_becomes_one_block_with_every_value_in_its_cell():
    table = bar_table(3, ("A", "B"))
    (block,) = assemble([table], ("A", "B"), carry=5)
    assert block.start == 0
    assert block.known_ns.tolist() == table.column("known").to_numpy().view(np.int64)[::2].tolist()
    assert block.session.dtype == np.int32
    for name in ARRAYS[:-1]:
        assert getattr(block, name).tolist() == np.reshape(table.column(name).to_pylist(), (3, 2)).tolist()
    assert block.mark.tolist() == block.close.tolist()


def test_holes_are_nan_and_the_mark_is_the_last_close_before_them():
    table = bar_table(4, ("A", "B"), present=[[1, 0], [1, 1], [0, 1], [1, 0]])
    (block,) = assemble([table], ("A", "B"), carry=0)
    assert np.isnan(block.close).tolist() == [[False, True], [False, False], [True, False], [False, True]]
    assert np.isnan(block.mark).tolist() == [[False, True], [False, False], [False, False], [False, False]]
    assert block.mark[2, 0] == block.close[1, 0]
    assert block.mark[3, 1] == block.close[2, 1]
    assert np.isnan(block.volume[0, 1])


@pytest.mark.parametrize("present", [None, np.tile([[1, 0], [1, 1]], (5, 1))], ids=["dense", "sparse"])
@pytest.mark.parametrize("carry", [0, 3])
def test_arrays_are_contiguous_and_read_only(present, carry):
    blocks = list(assemble([bar_table(10, ("A", "B"), present=present)], ("A", "B"), carry=carry, rows=4))
    assert [len(block) - block.start for block in blocks] == [4, 4, 2]
    assert [block.start for block in blocks] == [0, carry, carry]
    for block in blocks:
        for name in (*ARRAYS, "label_ns", "known_ns", "session"):
            array = getattr(block, name)
            assert array.flags.c_contiguous, name
            assert not array.flags.writeable, name


def test_the_mark_is_carried_over_the_border_of_blocks():
    present = np.ones((6, 2), bool)
    present[2:, 1] = False
    last = list(assemble([bar_table(6, ("A", "B"), present=present)], ("A", "B"), carry=0, rows=2))[-1]
    assert last.mark[:, 1].tolist() == [bar_table(6, ("A", "B")).column("close").to_pylist()[3]] * 2


def test_rows_of_other_symbols_are_left_out_and_may_leave_nothing():
    table = bar_table(3, ("A", "B", "C"))
    (block,) = assemble([table], ("B",), carry=0)
    assert block.close[:, 0].tolist() == table.column("close").to_pylist()[1::3]
    assert list(assemble([table], ("Z",), carry=0)) == []
    assert list(assemble([], ("A",), carry=0)) == []
    assert list(assemble([table.slice(0, 0)], ("A",), carry=0)) == []
    assert list(assemble([table.to_batches()[0].slice(0, 0)], ("A",), carry=0)) == []


def test_dictionary_encoded_symbols_give_the_same_block():
    table = bar_table(4, ("A", "B"), present=[[1, 1], [0, 1], [1, 1], [1, 0]])
    coded = table.set_column(1, "symbol", table.column("symbol").dictionary_encode())
    (plain,), (block,) = assemble([table], ("A", "B"), carry=0), assemble([coded], ("A", "B"), carry=0)
    np.testing.assert_array_equal(plain.close, block.close)


def split(day: int, value: float = 2.0) -> CorporateAction:
    return CorporateAction("A", day, ActionKind.SPLIT, value)


def test_actions_meet_their_row_and_carried_rows_keep_them():
    actions = (split(0), CorporateAction("B", 4, ActionKind.DIVIDEND, 1.0), split(5), split(99))
    table = bar_table(8, ("A", "B"))
    close = np.reshape(table.column("close").to_pylist(), (8, 2))
    blocks = list(assemble([table], ("A", "B"), carry=2, actions=actions, rows=4))
    assert [[(e.row, e.column, e.action.ex_session) for e in block.actions] for block in blocks] == [
        [(0, 0, 0)],
        [(2, 1, 4), (3, 0, 5)],
    ]
    assert blocks[1].actions[0].factor == 1 - 1.0 / close[3, 1]
    blocks = list(assemble([table], ("A", "B"), carry=2, actions=actions, rows=3))
    assert [[(e.row, e.action.ex_session) for e in block.actions] for block in blocks] == [
        [(0, 0)],
        [(3, 4), (4, 5)],
        [(0, 4), (1, 5)],
    ]


def test_a_dividend_on_the_first_row_of_a_block_is_priced_without_carry():
    table = bar_table(4)
    action = CorporateAction("A", 2, ActionKind.DIVIDEND, 1.0)
    first, second = assemble([table], ("A",), carry=0, actions=(action,), rows=2)
    assert first.actions == ()
    assert second.start == 0
    assert [(e.row, e.factor) for e in second.actions] == [(0, 1 - 1 / table.column("close").to_pylist()[1])]


def test_an_action_between_two_blocks_and_one_inside_a_split_session_are_placed_once():
    """Ex-dates on days without a bar fall to the next row; a session that spans two blocks places its action once."""
    table = pa.concat_tables([bar_table(4, daily=False), bar_table(4, daily=False, first_day=3)])
    blocks = list(assemble([table], ("A",), carry=0, actions=(split(0), split(2), split(3, 3.0)), rows=2))
    assert [[(e.row, e.action.ex_session) for e in block.actions] for block in blocks] == [[(0, 0)], [], [(0, 2), (0, 3)], []]


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1], [0, 1, 1, 2]],
    ids=["symbols swapped", "symbols swapped later", "instants swapped", "a bar twice"],
)
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_unsorted_or_repeated_rows_are_refused(order, chunk):
    table = bar_table(2, ("A", "B")).take(order)
    with pytest.raises(DataError, match=r"'bars' must be sorted by \(known, symbol\), one bar per symbol and instant"):
        list(assemble([table.slice(i, chunk) for i in range(0, 4, chunk)], ("A", "B"), carry=0))


@pytest.mark.parametrize(("symbols", "rows"), [(0, 250_000), (1, 250_000), (5, 50_000), (500, 500), (5000, 256)])
def test_a_block_holds_about_a_quarter_million_cells(symbols, rows):
    assert block_rows(symbols) == rows
