"""What the evidence of a replay catches: trades that it did not make, told apart by looking at the bars again (rule R11)."""

from __future__ import annotations

import pytest

from fairlead.backtest.replay.evidence import evidence_of, status_of
from fairlead.backtest.replay.orders import walk_orders
from fairlead.core.orders import OrderType
from support_replay import bars, replayed, row

QUIET = (100.5, 100.7, 100.4, 100.5)
UP = (100.8, 101.1, 100.7, 101.05)
"""Reaches 101.00, the stop of the entry, and nothing else."""
HIGH = (101.2, 101.4, 101.1, 101.2)
LIMIT = {
    "order_type": OrderType.LIMIT,
    "stop_price": None,
    "limit_price": "100.00",
    "stop_loss_price": "99",
    "take_profit_price": "103",
}
DIP = (100.2, 100.4, 99.9, 100.2)
"""Trades through 100.00, the limit of the entry."""
MARKET = {"order_type": OrderType.MARKET, "stop_price": None, "stop_loss_price": "90", "take_profit_price": "110"}


def codes(folder, order, rows, **forged):
    """Return the evidence of the one trade of `order`, after `forged` has moved its bars."""
    result = replayed(folder, [order], bars(*rows))
    (trade,) = result.fills.trades
    assert (
        status_of(evidence_of([trade], walk_orders([order], result.bars, result.settings), result.bars, result.settings)[0])
        == "WARN"
    )
    moved = trade._replace(**{name: getattr(trade, name) + by for name, by in forged.items()})
    (found,) = evidence_of([moved], walk_orders([order], result.bars, result.settings), result.bars, result.settings)
    assert status_of(found) == "FAIL"
    return found


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({}, [QUIET, UP, UP, HIGH]),
        (LIMIT, [QUIET, DIP, DIP, QUIET]),
        (MARKET, [QUIET, QUIET, QUIET, QUIET]),
    ],
    ids=["stop", "limit", "market"],
)
def test_an_entry_after_the_first_touch_is_told(tmp_path, given, rows):
    found = codes(tmp_path, row(**given), rows, entry_bar=1)
    assert "EXEC_EARLIEST_TOUCH_VIOLATION" in found
    assert "ORDER_VALIDITY_OK" in found


@pytest.mark.parametrize(("by", "told"), [(-1, "VIOLATION"), (10, "OK"), (11, "VIOLATION")])
def test_an_entry_outside_its_validity_is_told(tmp_path, by, told):
    """Valid from bar 1 to before bar 12; nothing but the market keeps to the first of them."""
    found = codes(tmp_path, row(**MARKET), [QUIET] * 14, entry_bar=by)
    assert f"ORDER_VALIDITY_{told}" in found


def test_a_fill_outside_its_bar_is_told(tmp_path):
    assert "FILL_OUTSIDE_BAR" in codes(tmp_path, row(), [QUIET, UP, HIGH, HIGH], entry_bar=-1)
    assert "FILL_OUTSIDE_BAR" in codes(tmp_path, row(), [QUIET, UP, HIGH, HIGH], exit_price=1.0)


@pytest.mark.parametrize("name", ["entry_bar", "exit_bar"])
def test_a_bar_outside_the_session_is_told(tmp_path, name):
    """The bars are moved half an hour past the close beneath the trade."""
    result = replayed(tmp_path, [row()], bars(QUIET, UP, HIGH, HIGH))
    (trade,) = result.fills.trades
    outcome = walk_orders([row()], result.bars, result.settings)
    assert "RTH_OK" in evidence_of([trade], outcome, result.bars, result.settings)[0]
    late = 390 * 60 * 10**9
    result.bars.ints[getattr(trade, name), :2] += late
    assert "RTH_VIOLATION" in evidence_of([trade], outcome, result.bars, result.settings)[0]
