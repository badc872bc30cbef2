"""Blocks, slices, cursors, forward fill and the placing of corporate actions."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairlead.core.bars import BarBlock, BarSlice, Cursor, CursorMarks, effective_actions, forward_fill, prelude
from fairlead.core.errors import ContractError, DataNotFound
from fairlead.core.events import ActionKind, Bar, Command, CommandKind, CorporateAction, Quote, Trade
from fairlead.core.time import NS_PER_DAY

NAN = float("nan")
TABLES = st.integers(1, 4).flatmap(
    lambda k: st.integers(0, 12).flatmap(
        lambda n: arrays(np.float64, (n, k), elements=st.one_of(st.just(NAN), st.floats(0.01, 1e4)))
    )
)


def a_block() -> BarBlock:
    """Three days of A and B; B has no bar on the first and the last."""
    close = np.array([[10.0, NAN], [11.0, 50.0], [12.0, NAN]])
    return BarBlock(
        symbols=("A", "B"),
        label_ns=np.array([0, 1, 2], np.int64) * NS_PER_DAY,
        known_ns=np.array([0, 1, 2], np.int64) * NS_PER_DAY + 21 * 3600 * 10**9,
        session=np.array([0, 1, 2], np.int32),
        open=close - 1,
        high=close + 2,
        low=close - 2,
        close=close,
        volume=close * 100,
        mark=forward_fill(close),
    )


def test_a_bar_is_one_cell_in_python_numbers():
    bar = a_block().bar(1, 1)
    assert bar == ("B", NS_PER_DAY, NS_PER_DAY + 21 * 3600 * 10**9, 49.0, 52.0, 48.0, 50.0, 5000.0)
    assert {type(value) for value in bar} == {str, int, float}
    assert bar.label == dt.datetime(1970, 1, 2, tzinfo=dt.UTC)
    assert bar.timestamp == dt.datetime(1970, 1, 2, 21, tzinfo=dt.UTC)


def test_an_empty_cell_is_no_bar():
    assert a_block().bar(0, 1) is None


def test_an_unknown_symbol_is_answered_with_the_known():
    with pytest.raises(DataNotFound, match=r"no symbol named 'C' in this run. Known: A, B\."):
        a_block().column("C")
    assert [a_block().column(s) for s in "AB"] == [0, 1]
    assert len(a_block()) == 3


def test_a_slice_holds_the_bars_of_one_instant():
    moment = BarSlice(a_block(), 1)
    assert (moment.symbols, len(moment)) == (("A", "B"), 2)
    assert [bar.symbol for bar in moment] == ["A", "B"]
    assert moment["B"].close == 50.0
    assert (moment.label_ns, moment.known_ns) == (NS_PER_DAY, NS_PER_DAY + 21 * 3600 * 10**9)
    for name, expected in [("open", 49.0), ("high", 52.0), ("low", 48.0), ("close", 50.0), ("volume", 5000.0)]:
        assert getattr(moment, name)[1] == expected


def test_a_slice_leaves_out_what_has_no_bar():
    moment = BarSlice(a_block(), 2)
    assert ("A" in moment, "B" in moment, "C" in moment, 7 in moment) == (True, False, False, False)
    assert [bar.symbol for bar in moment] == ["A"]
    assert moment.present.tolist() == [True, False]
    assert repr(moment) == f"BarSlice(known_ns={2 * NS_PER_DAY + 21 * 3600 * 10**9}, bars=1)"
    with pytest.raises(DataNotFound, match=r"'B' has no bar at this instant; test `symbol in slice` first"):
        moment["B"]
    with pytest.raises(DataNotFound, match="no symbol named 'C'"):
        moment["C"]


def test_marks_follow_the_cursor():
    cursor = Cursor(a_block())
    marks = CursorMarks(cursor)
    assert (list(marks), len(marks)) == (["A", "B"], 2)
    assert np.isnan(marks["B"]), "nothing is known before the first bar"
    cursor.row = 2
    assert (marks["A"], marks["B"], cursor.known_ns) == (12.0, 50.0, a_block().known_ns[2])


def test_the_prelude_stands_at_the_opening_and_knows_no_bar():
    before = prelude(dataclasses.replace(a_block(), start=1))
    assert (len(before), before.symbols, before.known_ns.tolist(), before.session.tolist()) == (
        1,
        ("A", "B"),
        [NS_PER_DAY],
        [1],
    )
    assert len(BarSlice(before, 0)) == 0
    assert np.isnan(before.mark).all()


def test_forward_fill_by_hand():
    values = np.array([[NAN, 1.0], [2.0, NAN], [NAN, 3.0]])
    np.testing.assert_array_equal(forward_fill(values), [[NAN, 1.0], [2.0, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(forward_fill(values, np.array([9.0, 8.0])), [[9.0, 1.0], [2.0, 1.0], [2.0, 3.0]])


@given(TABLES, st.booleans())
def test_forward_fill_equals_the_plain_loop(values, has_before):
    before = np.arange(values.shape[1], dtype=np.float64) if has_before else None
    expected = values.copy()
    for column in range(values.shape[1]):
        last = NAN if before is None else before[column]
        for row in range(len(values)):
            last = last if np.isnan(expected[row, column]) else expected[row, column]
            expected[row, column] = last
    original = values.copy()
    np.testing.assert_array_equal(forward_fill(values, before), expected)
    np.testing.assert_array_equal(values, original, "the input is left alone")


@given(TABLES, st.integers(0, 12))
def test_forward_fill_in_two_chunks_equals_one(values, cut):
    top = forward_fill(values[:cut])
    bottom = forward_fill(values[cut:], top[-1] if len(top) else None)
    np.testing.assert_array_equal(np.vstack([top, bottom]), forward_fill(values))


def place(actions, session, close, **kwargs):
    mark = np.array(close, np.float64)[:, None]
    return [(e.row, e.factor) for e in effective_actions(actions, {"A": 0}, np.array(session, np.int32), mark, **kwargs)]


def split(day: int, ratio: float = 2.0, symbol: str = "A") -> CorporateAction:
    return CorporateAction(symbol, day, ActionKind.SPLIT, ratio)


def dividend(day: int, cash: float = 1.0, symbol: str = "A") -> CorporateAction:
    return CorporateAction(symbol, day, ActionKind.DIVIDEND, cash)


def test_an_action_takes_effect_at_the_first_row_of_its_ex_session():
    """A 1.00 dividend after a close of 11 scales earlier prices by 10/11."""
    assert place([dividend(12)], [10, 11, 11, 12, 12], [8, 9, 10, 11, 12]) == [(3, 1 - 1 / 10)]
    assert place([dividend(12)], [10, 11, 12], [10, 11, 12]) == [(2, 1 - 1 / 11)]
    assert place([split(11, 4.0)], [10, 11, 12], [10, 11, 12]) == [(1, 0.25)]


def test_an_action_on_a_day_without_trading_takes_effect_on_the_next():
    assert place([split(12)], [10, 13], [10, 5]) == [(1, 0.5)]


def test_actions_before_the_first_and_after_the_last_row_are_left_out():
    assert place([split(9), split(13)], [10, 11, 12], [10, 11, 12]) == []


def test_an_action_on_the_very_first_session_has_no_close_before_it():
    assert place([split(10), dividend(10)], [10, 11], [10, 11]) == [(0, 1.0), (0, 0.5)]


def test_other_symbols_are_left_out_and_no_rows_place_nothing():
    assert place([split(11, symbol="Z")], [10, 11], [10, 11]) == []
    assert effective_actions([split(1)], {"A": 0}, np.empty(0, np.int32), np.empty((0, 1))) == ()


def test_actions_are_ordered_by_row_column_and_kind():
    placed = effective_actions(
        [split(12), split(11, symbol="B"), split(11), dividend(11)],
        {"A": 0, "B": 1},
        np.array([10, 11, 12], np.int32),
        np.full((3, 2), 10.0),
    )
    assert [(e.row, e.column, e.action.kind) for e in placed] == [
        (1, 0, "dividend"),
        (1, 0, "split"),
        (1, 1, "split"),
        (2, 0, "split"),
    ]


def test_chunks_place_each_action_once():
    """A chunk that repeats two carried rows places only what is new, at the same instant as one long block."""
    actions = [split(11), dividend(12), split(14)]
    session, close = [10, 11, 12, 13, 15], [10, 11, 12, 13, 14]
    whole = place(actions, session, close)
    first = place(actions, session[:3], close[:3])
    second = place(actions, session[1:], close[1:], first_row=2, after_session=12)
    assert whole == [(1, 0.5), (2, 1 - 1 / 11), (4, 0.5)]
    assert first + [(row + 1, factor) for row, factor in second] == whole


def test_the_chunk_after_a_gap_places_what_fell_into_it():
    assert place([split(12)], [13, 14], [5, 5], after_session=11) == [(0, 0.5)]


@pytest.mark.parametrize("value", [0.0, -1.0, NAN, float("inf")])
def test_an_action_needs_a_finite_value_above_zero(value):
    with pytest.raises(ContractError, match="'A split' must have a finite value above 0"):
        split(1, value)


@pytest.mark.parametrize(("before", "factor"), [(10.0, 0.9), (NAN, 1.0), (1.0, 1.0), (0.5, 1.0)])
def test_a_dividend_never_makes_a_price_negative(before, factor):
    assert dividend(1).price_factor(before) == pytest.approx(factor)


def test_quotes_trades_and_commands_say_when():
    quote, trade = Quote("A", 10**9, 10.0, 11.0, 5, 6), Trade("A", 10**9, 10.5, 3)
    assert quote.mid == 10.5
    assert quote.timestamp == trade.timestamp == dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
    assert Command(CommandKind.HALT, 5) == Command(CommandKind.HALT, 5, "", "")
    assert Bar("A", 0, 1, 1, 1, 1, 1, 0)._fields[0] == "symbol"
