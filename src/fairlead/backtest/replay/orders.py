"""Canonical orders as arrays, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fairlead.backtest.replay import layout as at
from fairlead.backtest.replay.bars import ReplayBars
from fairlead.backtest.replay.settings import ReplaySettings
from fairlead.backtest.replay.walking import compiled_walk
from fairlead.contracts.orders import CanonicalOrder, TradingHours
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import DataError
from fairlead.core.orders import OrderType, Side, TimeInForce
from fairlead.core.time import NS_PER_DAY, format_utc, to_ns
from fairlead.data.calendars import ExchangeCalendar

_KINDS: Final = {
    OrderType.MARKET: at.MARKET,
    OrderType.LIMIT: at.AT_LIMIT,
    OrderType.STOP: at.AT_STOP,
    OrderType.STOP_LIMIT: at.STOP_LIMIT,
}
_PROMPT: Final = (TimeInForce.IOC, TimeInForce.FOK)
_NEVER: Final = np.iinfo(np.int64).max
_NAN: Final = float("nan")
_MONTH: Final = 31


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of each order; arrays with one row an order, see `layout`.

    Attributes
    ----------
    floats, ints : arrays of shape (n, OUTCOME_FLOATS) and (n, OUTCOME_INTS)
    order_floats, order_ints : arrays of shape (n, ORDER_FLOATS) and (n, ORDER_INTS)
        The orders themselves, as they were served.
    """

    orders: tuple[CanonicalOrder, ...]
    floats: FloatArray
    ints: IntArray
    order_floats: FloatArray
    order_ints: IntArray


def walk_orders(orders: Sequence[CanonicalOrder], bars: ReplayBars, settings: ReplaySettings) -> Outcome:
    """Let orders meet bars (R1-R10, R12).

    Raises
    ------
    DataError
        If a position has no bar in which it could be closed in time (R8).
    """
    floats, ints = _tables(orders, bars, settings)
    n = len(orders)
    out_floats, out_ints = np.full((n, at.OUTCOME_FLOATS), _NAN), np.zeros((n, at.OUTCOME_INTS), np.int64)
    # Bars lie inside the regular hours, where an order for the others alone never trades.
    out_ints[[order.session is TradingHours.ETH for order in orders], at.STATUS] = at.NO_SESSION
    switches = np.zeros(at.SWITCHES, np.int64)
    switches[at.LIMITS_ON_TOUCH] = settings.limit_fill_on_touch
    switches[at.TARGETS_ON_TOUCH] = settings.target_fill_on_touch
    switches[at.SAME_BAR_EXIT] = settings.allow_same_bar_exit
    switches[at.NO_FILL] = settings.oco_same_bar_policy == "no_fill"
    find_triggers, fill_orders, _ = compiled_walk()
    find_triggers(bars.floats, bars.ints, bars.starts, floats, ints, switches, out_floats, out_ints)
    queue = _queue(orders, bars, ints, out_ints)
    busy, filled = np.full(len(bars.symbols), -1, np.int64), np.full(n, -1, np.int64)
    fill_orders(bars.floats, bars.ints, floats, ints, switches, queue, busy, filled, out_floats, out_ints)
    _end_the_rest(bars, ints, filled, out_ints)
    _require_exits(orders, bars, out_ints)
    return Outcome(tuple(orders), out_floats, out_ints, floats, ints)


def _tables(orders: Sequence[CanonicalOrder], bars: ReplayBars, settings: ReplaySettings) -> tuple[FloatArray, IntArray]:
    floats, ints = np.empty((len(orders), at.ORDER_FLOATS)), np.empty((len(orders), at.ORDER_INTS), np.int64)
    places = {symbol: i for i, symbol in enumerate(bars.symbols)}
    groups: dict[str, int] = {}
    by_window = settings.exit_policy == "window_end" and not settings.windows
    for i, order in enumerate(orders):
        prices = (order.stop_price, order.limit_price, order.take_profit_price, order.stop_loss_price)
        floats[i] = [_NAN if price is None else float(price) for price in prices]
        until = to_ns(order.valid_to)
        ints[i, at.SYMBOL] = places[order.symbol]
        ints[i, at.SIDE] = 1 if order.side is Side.BUY else -1
        ints[i, at.KIND] = _KINDS[order.order_type]
        ints[i, at.FROM], ints[i, at.TO] = to_ns(order.valid_from) - settings.grace_ns, until
        # An order without a set is a set of its own.
        ints[i, at.GROUP] = groups.setdefault(order.oco_id or order.order_id, len(groups))
        ints[i, at.PROMPT] = order.time_in_force in _PROMPT
        ints[i, at.UNTIL] = until if by_window else _NEVER
    day = np.array([order.time_in_force is TimeInForce.DAY for order in orders], np.bool_)
    if day.any():
        ints[day, at.TO] = np.minimum(ints[day, at.TO], _day_ends(ints[day, at.FROM], settings))
    return floats, ints


def _day_ends(valid_from: IntArray, settings: ReplaySettings) -> IntArray:
    """Return the close of the first session that each order can meet."""
    calendar = ExchangeCalendar.get(settings.calendar)
    days = valid_from // NS_PER_DAY
    # No exchange is closed for a month.
    sessions = calendar.sessions(int(days.min()) - 1, int(days.max()) + _MONTH)
    closes = calendar.bounds(sessions)[1]
    return closes[np.searchsorted(closes, valid_from, side="right")]


def _queue(orders: Sequence[CanonicalOrder], bars: ReplayBars, ints: IntArray, out_ints: IntArray) -> IntArray:
    waiting = np.flatnonzero((out_ints[:, at.BAR] >= 0) & (out_ints[:, at.STATUS] == at.WAITING))
    ranks = np.empty(len(orders), np.int64)
    ranks[np.array(sorted(range(len(orders)), key=lambda i: orders[i].order_id), np.int64)] = np.arange(len(orders))
    label = bars.ints[out_ints[waiting, at.BAR], at.LABEL]
    return waiting[np.lexsort((ranks[waiting], ints[waiting, at.SYMBOL], label))]


def _end_the_rest(bars: ReplayBars, ints: IntArray, filled: IntArray, out_ints: IntArray) -> None:
    label = bars.ints[:, at.LABEL]
    missed = np.flatnonzero(out_ints[:, at.STATUS] == at.NOT_MARKETABLE)
    bar = filled[ints[missed, at.GROUP]]
    # A sibling had filled before the one bar that the order had.
    sooner = (bar >= 0) & (label[bar] < label[out_ints[missed, at.BAR]])
    out_ints[missed[sooner], at.STATUS], out_ints[missed[sooner], at.BAR] = at.CANCELLED_OCO, bar[sooner]
    waiting = np.flatnonzero(out_ints[:, at.STATUS] == at.WAITING)
    bar = filled[ints[waiting, at.GROUP]]
    # A sibling's fill ends an order only while it is still valid.
    by_sibling = (bar >= 0) & (label[bar] < ints[waiting, at.TO])
    out_ints[waiting, at.STATUS] = np.where(by_sibling, at.CANCELLED_OCO, at.EXPIRED)
    out_ints[waiting, at.BAR] = np.where(by_sibling, bar, -1)


def _require_exits(orders: Sequence[CanonicalOrder], bars: ReplayBars, out_ints: IntArray) -> None:
    stuck = np.flatnonzero((out_ints[:, at.STATUS] == at.FILLED) & (out_ints[:, at.EXIT_REASON] == at.NO_BAR))
    if len(stuck):
        order, bar = orders[stuck[0]], int(out_ints[stuck[0], at.BAR])
        raise DataError(
            f"{len(stuck)} positions have no bar in which they could be closed in time, first that of order {order.order_id} "
            f"in {order.symbol}, which fills in the bar of {format_utc(int(bars.ints[bar, at.LABEL]))}. Use shorter bars, or "
            "exit_policy='session_end'."
        )
