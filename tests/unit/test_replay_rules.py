"""Every rule R1 to R12 of the replay with bars made by hand and the fill that it must give (domain rule 6.8).

Bars are (open, high, low, close) of five minutes from 09:30 in New York. The long leg enters at 101.00 with its stop at 100.60
and its target at 101.80, the short one at 100.20 with 100.60 and 99.40; both are valid from bar 1 to before bar 12.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import pytest

from fairlead.contracts.orders import TradingHours
from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.orders import OrderType, TimeInForce
from support_replay import CLOSE, at, bars, replayed, row, told

QUIET = (100.5, 100.7, 100.4, 100.5)
HIGH = (101.2, 101.4, 101.1, 101.2)
"""Between the long leg's stop and its target."""
LOW = (100.0, 100.1, 99.8, 100.0)
"""Between the short leg's target and its stop."""
UP = (100.8, 101.1, 100.7, 101.05)
"""Reaches 101.00 and nothing else."""
DOWN = (100.4, 100.45, 100.1, 100.15)
"""Reaches 100.20 and nothing else."""
PAIR = ("BUY", "SELL")
GONE = ("SELL", "order_cancelled_oco")
NO_EXITS = {"stop_loss_price": None, "take_profit_price": None}


class Case(NamedTuple):
    """A sequence of bars, and what it must give."""

    rule: str
    rows: list[tuple]
    expected: list[tuple]
    orders: list
    options: dict


def case(rule, rows, expected, orders=("BUY",), **options):
    made = [row(order) if isinstance(order, str) else order for order in orders]
    return Case(rule, rows, expected, made, options)


def limit(side="BUY", price="100.00", **given):
    """A limit entry with its exits a unit away."""
    sign = 1 if side == "BUY" else -1
    stop, target = (f"{float(price) + sign * step:.2f}" for step in (-1, 1))
    given = {"stop_loss_price": stop, "take_profit_price": target, "stop_price": None, "limit_price": price} | given
    return row(side, order_type=OrderType.LIMIT, **given)


def stop_limit(price="101.20", **given):
    return row(order_type=OrderType.STOP_LIMIT, limit_price=price, **given)


def market(side="BUY", **given):
    sign = 1 if side == "BUY" else -1
    exits = {"stop_loss_price": str(100.5 - sign), "take_profit_price": str(100.5 + sign)}
    return row(side, order_type=OrderType.MARKET, stop_price=None, **exits | given)


CASES = [
    # -------------------------------------------------------------------------------- R1: which bars are eligible
    case("R1 not before valid_from", [UP, QUIET, UP], [("BUY", 2, 101.0, 2, 101.05, "session_end")]),
    case("R1 valid_from is included", [QUIET, UP], [("BUY", 1, 101.0, 1, 101.05, "session_end")]),
    case("R1 valid_to is not", [QUIET] * 12 + [UP], [("BUY", "order_expired")]),
    case("R1 the bar before valid_to is", [QUIET] * 11 + [UP], [("BUY", 11, 101.0, 11, 101.05, "session_end")]),
    case(
        "R1 a bar that opens before valid_from is not",
        [QUIET, UP, QUIET],
        [("BUY", "order_expired")],
        [row(valid_from=at(1) + dt.timedelta(minutes=1))],
    ),
    case(
        "R1 unless it is within the grace",
        [QUIET, UP, QUIET],
        [("BUY", 1, 101.0, 2, 100.5, "stop_loss")],
        [row(valid_from=at(1) + dt.timedelta(seconds=1))],
        arrival_grace_ms=1000,
    ),
    case(
        "R1 an order for extended hours alone",
        [QUIET, UP],
        [("BUY", "order_rejected_no_extended_hours")],
        [row(session=TradingHours.ETH)],
    ),
    # -------------------------------------------------------------------------------- R2: stop entries
    case("R2 a buy triggers at its price", [QUIET, (100.8, 101.0, 100.7, 100.9)], [("BUY", 1, 101.0, 1, 100.9, "session_end")]),
    case("R2 a tick below it does not", [QUIET, (100.8, 100.99, 100.7, 100.9)], [("BUY", "order_expired")]),
    case("R2 a buy gaps", [QUIET, HIGH], [("BUY", 1, 101.2, 1, 101.2, "session_end")]),
    case(
        "R2 an open at the price is a gap", [QUIET, (101.0, 101.3, 100.9, 101.1)], [("BUY", 1, 101.0, 1, 101.1, "session_end")]
    ),
    case("R2 a sell triggers", [QUIET, (100.4, 100.5, 100.2, 100.3)], [("SELL", 1, 100.2, 1, 100.3, "session_end")], ["SELL"]),
    case("R2 a sell gaps", [QUIET, LOW], [("SELL", 1, 100.0, 1, 100.0, "session_end")], ["SELL"]),
    # -------------------------------------------------------------------------------- R3: limit, market and stop-limit entries
    case("R3 a touched limit does not fill", [QUIET, (100.5, 100.6, 100.0, 100.3)], [("BUY", "order_expired")], [limit()]),
    case(
        "R3 a touch fills if it may",
        [QUIET, (100.5, 100.6, 100.0, 100.3)],
        [("BUY", 1, 100.0, 1, 100.3, "session_end")],
        [limit()],
        limit_fill_on_touch=True,
    ),
    case(
        "R3 trading through fills at the limit",
        [QUIET, DOWN, (100.2, 100.3, 99.99, 100.1)],
        [("BUY", 2, 100.0, 2, 100.1, "session_end")],
        [limit()],
    ),
    case(
        "R3 a limit gaps to its advantage",
        [QUIET, (99.5, 99.9, 99.3, 99.6)],
        [("BUY", 1, 99.5, 1, 99.6, "session_end")],
        [limit()],
    ),
    case(
        "R3 a sell limit mirrors it",
        [QUIET, (100.5, 101.01, 100.4, 100.6)],
        [("SELL", 1, 101.0, 1, 100.6, "session_end")],
        [limit("SELL", "101.00")],
    ),
    case("R3 a market order fills at the next open", [UP, QUIET], [("BUY", 1, 100.5, 1, 100.5, "session_end")], [market()]),
    case(
        "R3 a stop-limit with the open between",
        [QUIET, (101.1, 101.3, 101.0, 101.2)],
        [("BUY", 1, 101.1, 1, 101.2, "session_end")],
        [stop_limit()],
    ),
    case(
        "R3 a stop-limit triggers and fills from the next bar on",
        [QUIET, (100.8, 101.5, 100.7, 101.4), (101.4, 101.5, 101.25, 101.3), (101.3, 101.4, 101.1, 101.3)],
        [("BUY", 3, 101.2, 3, 101.3, "session_end")],
        [stop_limit()],
    ),
    case("R3 a stop-limit that nothing triggers", [QUIET, QUIET], [("BUY", "order_expired")], [stop_limit()]),
    case(
        "R3 immediate or cancel has one bar",
        [QUIET, QUIET, UP],
        [("BUY", "order_cancelled_not_marketable")],
        [row(time_in_force=TimeInForce.IOC)],
    ),
    # -------------------------------------------------------------------------------- R4: the first bar wins
    case("R4 the sibling is cancelled", [QUIET, UP, DOWN], [GONE, ("BUY", 1, 101.0, 2, 100.4, "stop_loss")], PAIR),
    case(
        "R4 a leg that is not valid yet is cancelled too",
        [QUIET, UP, HIGH],
        [GONE, ("BUY", 1, 101.0, 2, 101.2, "session_end")],
        ["BUY", row("SELL", valid_from=at(2))],
    ),
    case(
        "R4 a leg whose time was over had expired",
        [QUIET, QUIET, UP],
        [("SELL", "order_expired"), ("BUY", 2, 101.0, 2, 101.05, "session_end")],
        ["BUY", row("SELL", valid_to=at(2))],
    ),
    # -------------------------------------------------------------------------------- R5: both legs in one bar
    case("R5 the nearer leg", [QUIET, (100.7, 101.1, 100.1, 100.5)], [GONE, ("BUY", 1, 101.0, 1, 100.6, "stop_loss")], PAIR),
    case(
        "R5 the nearer leg is the short one",
        [QUIET, (100.5, 101.1, 100.1, 100.3)],
        [("BUY", "order_cancelled_oco"), ("SELL", 1, 100.2, 1, 100.6, "stop_loss")],
        PAIR,
    ),
    case(
        "R5 a tie is the buy's", [QUIET, (100.6, 101.1, 100.1, 100.5)], [GONE, ("BUY", 1, 101.0, 1, 100.6, "stop_loss")], PAIR
    ),
    case("R5 the gapped leg", [QUIET, (101.5, 101.6, 100.1, 100.3)], [GONE, ("BUY", 1, 101.5, 1, 100.6, "stop_loss")], PAIR),
    case(
        "R5 neither, if that is the policy",
        [QUIET, (100.7, 101.1, 100.1, 100.5), UP],
        [("SELL", "order_ambiguous_no_fill"), ("BUY", "order_ambiguous_no_fill")],
        PAIR,
        oco_same_bar_policy="no_fill",
    ),
    case(
        "R5 a gap is not ambiguous",
        [QUIET, (101.5, 101.6, 100.1, 100.3)],
        [GONE, ("BUY", 1, 101.5, 1, 100.6, "stop_loss")],
        PAIR,
        oco_same_bar_policy="no_fill",
    ),
    # -------------------------------------------------------------------------------- R6: the entry bar
    case("R6 a gap at the target is flat", [QUIET, (101.8, 102.5, 100.0, 102.0)], [("BUY", 1, 101.8, 1, 101.8, "take_profit")]),
    case(
        "R6 a gap beyond the target is flat",
        [QUIET, (102.3, 102.5, 101.9, 102.0)],
        [("BUY", 1, 102.3, 1, 102.3, "take_profit")],
    ),
    case("R6 the stop is touched", [QUIET, (100.8, 101.1, 100.6, 101.0)], [("BUY", 1, 101.0, 1, 100.6, "stop_loss")]),
    case("R6 both are touched", [QUIET, (100.8, 102.0, 100.5, 101.9)], [("BUY", 1, 101.0, 1, 100.6, "stop_loss")]),
    case("R6 the target is touched", [QUIET, (100.8, 101.8, 100.7, 101.5)], [("BUY", 1, 101.0, 1, 101.8, "take_profit")]),
    case(
        "R6 short: the stop is touched",
        [QUIET, (100.4, 100.6, 100.1, 100.2)],
        [("SELL", 1, 100.2, 1, 100.6, "stop_loss")],
        ["SELL"],
    ),
    case(
        "R6 short: the target is touched",
        [QUIET, (100.4, 100.5, 99.4, 99.8)],
        [("SELL", 1, 100.2, 1, 99.4, "take_profit")],
        ["SELL"],
    ),
    case(
        "R6 short: a gap beyond the target",
        [QUIET, (99.2, 99.3, 99.0, 99.1)],
        [("SELL", 1, 99.2, 1, 99.2, "take_profit")],
        ["SELL"],
    ),
    case(
        "R6 a touched target must be traded through, if that is the rule",
        [QUIET, (100.8, 101.8, 100.7, 101.5)],
        [("BUY", 1, 101.0, 1, 101.5, "session_end")],
        target_fill_on_touch=False,
    ),
    case(
        "R6 a market entry below its stop",
        [QUIET, (99.0, 99.2, 98.9, 99.1)],
        [("BUY", 1, 99.0, 1, 99.0, "stop_loss")],
        [market()],
    ),
    # -------------------------------------------------------------------------------- R7: later bars
    case("R7 an open beyond the stop", [QUIET, UP, (100.3, 102.0, 100.2, 101.0)], [("BUY", 1, 101.0, 2, 100.3, "stop_loss")]),
    case("R7 the stop is touched", [QUIET, UP, (101.0, 101.1, 100.6, 100.9)], [("BUY", 1, 101.0, 2, 100.6, "stop_loss")]),
    case("R7 a tick above it is not", [QUIET, UP, (101.0, 101.1, 100.61, 100.9)], [("BUY", 1, 101.0, 2, 100.9, "session_end")]),
    case("R7 both are touched", [QUIET, UP, (101.0, 102.0, 100.5, 101.9)], [("BUY", 1, 101.0, 2, 100.6, "stop_loss")]),
    case(
        "R7 an open beyond the target", [QUIET, UP, (102.0, 102.2, 101.7, 102.1)], [("BUY", 1, 101.0, 2, 102.0, "take_profit")]
    ),
    case("R7 the target is touched", [QUIET, UP, (101.2, 101.8, 101.0, 101.5)], [("BUY", 1, 101.0, 2, 101.8, "take_profit")]),
    case(
        "R7 short: an open beyond the stop",
        [QUIET, DOWN, (100.9, 101.0, 99.0, 100.0)],
        [("SELL", 1, 100.2, 2, 100.9, "stop_loss")],
        ["SELL"],
    ),
    case(
        "R7 short: both are touched",
        [QUIET, DOWN, (100.2, 100.7, 99.0, 99.5)],
        [("SELL", 1, 100.2, 2, 100.6, "stop_loss")],
        ["SELL"],
    ),
    case(
        "R7 short: the target is touched",
        [QUIET, DOWN, (100.1, 100.2, 99.4, 99.9)],
        [("SELL", 1, 100.2, 2, 99.4, "take_profit")],
        ["SELL"],
    ),
    # -------------------------------------------------------------------------------- R8: what nothing closed
    case("R8 the last bar that there is", [QUIET, UP, HIGH, HIGH], [("BUY", 1, 101.0, 3, 101.2, "session_end")]),
    case(
        "R8 the last bar of the session",
        [QUIET, UP, *[HIGH] * 75, (101.3, 101.4, 101.2, 101.33)],
        [("BUY", 1, 101.0, 77, 101.33, "session_end")],
    ),
    case(
        "R8 exits come before the close",
        [QUIET, UP, (101.2, 101.9, 101.0, 101.5)],
        [("BUY", 1, 101.0, 2, 101.8, "take_profit")],
    ),
    case(
        "R8 the end of the window",
        [QUIET, UP, *[HIGH] * 20],
        [("BUY", 1, 101.0, 17, 101.2, "session_end")],
        exit_policy="window_end",
        windows=("09:30-11:00", "14:00-15:00"),
    ),
    case(
        "R8 the window ends with the order where none is given",
        [QUIET, UP, *[HIGH] * 20],
        [("BUY", 1, 101.0, 11, 101.2, "session_end")],
        exit_policy="window_end",
    ),
    # -------------------------------------------------------------------------------- R9: netting
    case(
        "R9 a second position is refused",
        [QUIET, UP, (101.2, 101.55, 101.1, 101.5), HIGH],
        [("BUY", "order_rejected_netting_open_position"), ("BUY", 1, 101.0, 3, 101.2, "session_end")][::-1],
        ["BUY", row(oco_id="later", stop_price="101.50")],
    ),
    case(
        "R9 in the bar of the exit too",
        [QUIET, UP, (101.2, 101.9, 101.1, 101.5), HIGH],
        [("BUY", 1, 101.0, 2, 101.8, "take_profit"), ("BUY", "order_rejected_netting_open_position")],
        ["BUY", row(oco_id="later", stop_price="101.50")],
    ),
    case(
        "R9 not in the bar after it",
        [QUIET, UP, (101.2, 101.9, 101.1, 101.5), (101.2, 101.4, 101.1, 101.2), (101.2, 101.6, 101.1, 101.5)],
        [("BUY", 1, 101.0, 2, 101.8, "take_profit"), ("BUY", 4, 101.5, 4, 101.5, "session_end")],
        ["BUY", row(oco_id="later", stop_price="101.50", valid_from=at(3))],
    ),
    # -------------------------------------------------------------------------------- R10: expiry
    case("R10 unfilled by valid_to", [QUIET] * 14, [("BUY", "order_expired"), ("SELL", "order_expired")], PAIR),
]


@pytest.mark.parametrize("found", [pytest.param(item, id=item.rule) for item in CASES])
def test_a_rule_gives_its_fill(tmp_path, found):
    """Pre-cost prices, bars and reasons, as worked out by hand."""
    result = replayed(tmp_path, found.orders, bars(*found.rows), **found.options)
    assert sorted(told(result), key=str) == sorted(found.expected, key=str)
    assert all("FILL_OUTSIDE_BAR" not in codes for codes in result.codes)
    assert all("EXEC_EARLIEST_TOUCH_OK" in codes for codes in result.codes)


# ------------------------------------------------------------------------------------------------------------- one-minute bars

FIVE = (100.7, 102.0, 100.1, 101.9)
"""Reaches both entries, both stops and the long target: what it was is for its minutes to say."""
DRILLS = [
    ("R5 the minutes say that the short leg was first",
     [(100.5, 100.55, 100.1, 100.2), (100.2, 100.65, 100.15, 100.6), (100.6, 102.0, 100.5, 101.9)],
     [("BUY", "order_cancelled_oco"), ("SELL", 1, 100.2, 1.2, 100.6, "stop_loss")]),
    ("R5 both legs in one minute: the nearer",
     [(100.7, 101.05, 100.15, 101.0), (101.0, 102.0, 100.9, 101.9)],
     [GONE, ("BUY", 1, 101.0, 1, 100.6, "stop_loss")]),
    ("R6 the target in a later minute than the entry",
     [(100.7, 101.1, 100.65, 101.0), (101.0, 102.0, 100.9, 101.9), (101.9, 101.9, 100.1, 101.9)],
     [GONE, ("BUY", 1, 101.0, 1.2, 101.8, "take_profit")]),
    ("R6 entry and stop in one minute",
     [(100.7, 101.1, 100.55, 101.0), (101.0, 102.0, 100.9, 101.9)],
     [GONE, ("BUY", 1, 101.0, 1, 100.6, "stop_loss")]),
    ("R7 stop and target in one minute",
     [(100.7, 101.1, 100.65, 101.0), (101.0, 102.0, 100.5, 101.9)],
     [GONE, ("BUY", 1, 101.0, 1.2, 100.6, "stop_loss")]),
    ("R7 a minute opens beyond the stop",
     [(100.7, 101.1, 100.65, 101.0), (100.3, 102.0, 100.25, 101.9)],
     [GONE, ("BUY", 1, 101.0, 1.2, 100.3, "stop_loss")]),
]  # fmt: skip


@pytest.mark.parametrize(("minutes", "expected"), [pytest.param(m, e, id=name) for name, m, e in DRILLS])
def test_minutes_say_what_came_first(tmp_path, minutes, expected):
    """The signal bar would be read pessimistically; its minutes are walked."""
    drilled = replayed(tmp_path, [row("BUY"), row("SELL")], bars(QUIET, FIVE), bars(*minutes, first=5, minutes=1))
    assert sorted(told(drilled), key=str) == sorted(expected, key=str)
    assert drilled.trades["exec_tf"].tolist() == ["1min"]
    assert drilled.trades["signal_tf"].tolist() == ["5min"]
    whole = replayed(tmp_path, [row("BUY"), row("SELL")], bars(QUIET, FIVE))
    assert told(whole)[-1] == ("BUY", 1, 101.0, 1, 100.6, "stop_loss")


def test_a_session_without_minutes_is_met_on_signal_bars(tmp_path):
    """And says so: its fills are less certain."""
    tomorrow = dt.timedelta(days=1)
    five = bars(QUIET, UP, HIGH).vstack(bars(QUIET, UP, HIGH).with_columns(ts=bars(QUIET, UP, HIGH)["ts"] + tomorrow))
    minutes = bars((100.8, 101.1, 100.7, 101.0), (101.0, 101.1, 100.9, 101.05), first=5, minutes=1)
    later = row(oco_id="later", valid_from=at(1) + tomorrow, valid_to=at(12) + tomorrow)
    result = replayed(tmp_path, [row(), later], five, minutes)
    assert result.trades["exec_tf"].tolist() == ["1min", "5min"]
    assert result.trades["evidence_status"].tolist() == ["PASS", "WARN"]
    assert "NO_EXEC_BARS_M1" in result.trades["evidence_codes"][1]


def test_exits_may_wait_for_the_next_minute(tmp_path):
    """R6 with allow_same_bar_exit false: only with minutes, and then from the next bar on."""
    minutes = bars((100.7, 101.1, 100.5, 101.0), (101.0, 101.9, 100.9, 101.9), first=5, minutes=1)
    result = replayed(tmp_path, [row()], bars(QUIET, FIVE), minutes, allow_same_bar_exit=False)
    assert told(result) == [("BUY", 1, 101.0, 1.2, 101.8, "take_profit")]
    with pytest.raises(ConfigurationError, match="one-minute bars"):
        replayed(tmp_path, [row()], bars(QUIET, FIVE), allow_same_bar_exit=False)


def test_a_position_that_no_bar_can_close_is_an_error(tmp_path):
    """R8: never a price of zero. The window ends inside the bar of the entry."""
    with pytest.raises(DataError, match="no bar in which they could be closed"):
        replayed(tmp_path, [row()], bars(QUIET, UP, HIGH), exit_policy="window_end", windows=("09:30-09:37",))


def test_a_day_order_ends_with_its_session(tmp_path):
    """Good till cancelled does not; and R8 closes on the day of the entry."""
    tomorrow = dt.timedelta(days=1)
    next_day = bars(UP, HIGH).with_columns(ts=bars(UP, HIGH)["ts"] + tomorrow)
    data = bars(QUIET, QUIET).vstack(next_day)
    long = {"valid_to": CLOSE + tomorrow}
    result = replayed(tmp_path, [row(**long), row(oco_id="gtc", time_in_force=TimeInForce.GTC, **long)], data)
    assert [(leg.kind, leg.reason) for leg in result.fills.legs] == [
        ("CANCEL", "order_expired"),
        ("ENTRY", "stop"),
        ("EXIT", "session_end"),
    ]
    assert result.trades["exit_ts"][0].day == 7


def test_an_early_close_ends_the_session(tmp_path):
    """R8 takes its hours from the calendar: 13:00 in New York on the day before Independence Day."""
    opening = dt.datetime(2024, 7, 3, 13, 30, tzinfo=dt.UTC)
    shift = opening - at(0)
    data = bars(QUIET, UP, *[HIGH] * 40).with_columns(ts=bars(QUIET, UP, *[HIGH] * 40)["ts"] + shift)
    order = row(valid_from=at(1) + shift, valid_to=at(12) + shift)
    result = replayed(tmp_path, [order], data)
    assert result.trades["exit_ts"][0] == dt.datetime(2024, 7, 3, 17, 0, tzinfo=dt.UTC)


def test_exits_come_first_then_symbols_then_ids(tmp_path):
    """R12: at one instant what closes is told before what opens, and both in the order of symbols."""
    data = bars(QUIET, UP, (101.2, 101.9, 101.1, 101.5), HIGH)
    both = data.vstack(data.with_columns(symbol=data["symbol"].replace("AAPL", "ZION")))
    orders = [
        row(symbol="ZION", oco_id="z1"),
        row(symbol="AAPL", oco_id="a1"),
        row(symbol="AAPL", oco_id="a2", valid_from=at(3), stop_price="101.10", valid_to=at(4)),
        row(symbol="ZION", oco_id="z2", valid_from=at(2), stop_price="101.50"),
    ]
    legs = replayed(tmp_path, orders, both).fills.legs
    assert [(leg.order.symbol, leg.kind) for leg in legs] == [
        ("AAPL", "ENTRY"), ("ZION", "ENTRY"),
        ("AAPL", "EXIT"), ("ZION", "EXIT"), ("ZION", "REJECT"),
        ("AAPL", "ENTRY"), ("AAPL", "EXIT"),
    ]  # fmt: skip
    first = min([row(oco_id="p"), row(oco_id="q")], key=lambda order: order.order_id)
    twins = replayed(tmp_path, [row(oco_id="q"), row(oco_id="p")], data)
    assert twins.trades["order_id"].tolist() == [first.order_id]
