"""The fourth stage: signals become canonical orders, sized and keyed (domain rules 4 and 5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from fairlead.contracts.cells import decimal_text, instant_text, line_of, read_instant
from fairlead.contracts.files import atomic_write_text
from fairlead.contracts.orders import CanonicalOrder, OrderWriter, read_orders
from fairlead.contracts.orders.row import ORDER_COLUMNS, OrderSource
from fairlead.contracts.signals import Signal
from fairlead.core.errors import ContractError
from fairlead.core.identity import group_id
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderType, Side
from fairlead.core.time import date_to_day, to_datetime, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.factory.plugin import GROUP, VALID_FROM, VALID_TO
from fairlead.factory.signalling import session_of
from fairlead.risk import PositionSize, PositionSizer

ORDERS_FILE: Final = "orders.csv"
UNSIZED_FILE: Final = "unsized.csv"
UNSIZED_COLUMNS: Final = ("signal_id", "symbol", "timestamp", "side", "entry_price", "stop_price", "reason")
SIBLING: Final = "sibling_unsized"
NO_TIME: Final = "invalid_validity_window"


class Unsized(NamedTuple):
    """A leg that became no order.

    Attributes
    ----------
    reason : str
        Why the sizer gave it no quantity; `SIBLING` if it would have had one, and the signal's other leg none; or `NO_TIME` if
        it could never fill.
    """

    signal: Signal
    side: Side
    entry: Decimal
    stop: Decimal | None
    reason: str


class Orders(NamedTuple):
    """What the fourth stage hands on, in the order of the signals; a buy before its sell."""

    orders: tuple[CanonicalOrder, ...]
    unsized: tuple[Unsized, ...]
    clips: Mapping[str, int]
    """How many quantities each limit of the sizer lowered."""


class _Leg(NamedTuple):
    side: Side
    entry: Decimal
    stop: Decimal | None
    target: Decimal | None


def make_orders(
    signals: Sequence[Signal],
    sizer: PositionSizer,
    *,
    run_id: str,
    calendar: ExchangeCalendar,
    instruments: Mapping[str, Instrument],
) -> Orders:
    """Return the orders of `signals`: a stop order for each side, both in one one-cancels-other group.

    Parameters
    ----------
    sizer : PositionSizer
        Its equity sizes every order: positions of a line are not compounded.

    Raises
    ------
    ContractError
        If a price is off the tick, or a signal states a validity before it is known.
    """
    orders: list[CanonicalOrder] = []
    unsized: list[Unsized] = []
    clips: dict[str, int] = {}
    groups: dict[str, int] = {}
    for signal in signals:
        group = _group(signal, groups)
        start, end = _validity(signal, calendar)
        legs = _legs(signal)
        sizes = [sizer.calculate(leg.entry, leg.stop) for leg in legs]
        if end <= start:
            unsized += [Unsized(signal, leg.side, leg.entry, leg.stop, NO_TIME) for leg in legs]
            continue
        if not all(size.quantity for size in sizes):
            unsized += [
                Unsized(signal, leg.side, leg.entry, leg.stop, size.reason or SIBLING)
                for leg, size in zip(legs, sizes, strict=True)
            ]
            continue
        for leg, size in zip(legs, sizes, strict=True):
            for clip in size.clips:
                clips[clip] = clips.get(clip, 0) + 1
            order = _order(signal, leg, size, run_id, group, (start, end))
            order.check_grid(instruments[signal.symbol])
            orders.append(order)
    return Orders(tuple(orders), tuple(unsized), dict(sorted(clips.items())))


def write_orders(path: Path, orders: Sequence[CanonicalOrder]) -> None:
    """Add orders to an order file, each once; of none, a file without rows is made.

    Raises
    ------
    ContractError
        If the file has another order under the key of one, or orders that are none of these: it is of another run.
    StorageError
        If the disk refuses.
    """
    if path.exists():
        _refuse_others(path, orders)
    OrderWriter(path).extend(orders)
    if not path.exists():
        atomic_write_text(path, line_of(ORDER_COLUMNS))


def _refuse_others(path: Path, orders: Sequence[CanonicalOrder]) -> None:
    # An earlier run of this name over other data has made them: the replay would trade on what no signal says.
    ours = {order.idempotency_key for order in orders}
    others = [order for order in read_orders(path).orders if order.idempotency_key not in ours]
    if others:
        remedy = f"The data has changed: remove {path.parent}, or run under another run_id."
        made = f"{len(others)} others, the first {others[0].order_id}"
        raise ContractError.of(path.name, "hold none but the orders of this line", made, remedy)


def write_unsized(path: Path, rows: Iterable[Unsized]) -> None:
    """Write the legs that became no orders as CSV, as a whole or not at all.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    lines = [line_of(UNSIZED_COLUMNS)]
    for row in rows:
        signal = row.signal
        prices = (decimal_text(row.entry), decimal_text(row.stop))
        lines.append(
            line_of((signal.signal_id, signal.symbol, instant_text(signal.timestamp), row.side.value, *prices, row.reason))
        )
    atomic_write_text(path, "".join(lines))


def _group(signal: Signal, groups: dict[str, int]) -> str:
    """Return the one-cancels-other group of a signal: the one it names, else one of its own."""
    named = (signal.metadata or {}).get(GROUP)
    if named:
        return str(named)
    stem = group_id(signal.symbol, to_ns(signal.timestamp))
    groups[stem] = groups.get(stem, -1) + 1
    return group_id(signal.symbol, to_ns(signal.timestamp), groups[stem])


def _legs(signal: Signal) -> list[_Leg]:
    legs = []
    if signal.long_entry is not None:
        legs.append(_Leg(Side.BUY, signal.long_entry, signal.sl_long, signal.tp_long))
    if signal.short_entry is not None:
        legs.append(_Leg(Side.SELL, signal.short_entry, signal.sl_short, signal.tp_short))
    return legs


def _order(
    signal: Signal, leg: _Leg, size: PositionSize, run_id: str, group: str, validity: tuple[dt.datetime, dt.datetime]
) -> CanonicalOrder:
    return CanonicalOrder.new(
        run_id=run_id,
        strategy=signal.strategy,
        strategy_version=signal.strategy_version,
        symbol=signal.symbol,
        side=leg.side,
        oco_id=group,
        qty=size.quantity,
        order_type=OrderType.STOP,
        stop_price=leg.entry,
        stop_loss_price=leg.stop,
        take_profit_price=leg.target,
        valid_from=validity[0],
        valid_to=validity[1],
        source=OrderSource.BACKTEST,
        # The clock of history: an order is made when its signal becomes known.
        created_at=signal.timestamp,
    )


def _validity(signal: Signal, calendar: ExchangeCalendar) -> tuple[dt.datetime, dt.datetime]:
    """Return when the orders of a signal may fill, [from, to)."""
    known: Mapping[str, Any] = signal.metadata or {}
    _, close = calendar.bounds(np.array([date_to_day(session_of(calendar, signal))], np.int32))
    start = read_instant(VALID_FROM, known[VALID_FROM]) if VALID_FROM in known else signal.timestamp
    end = read_instant(VALID_TO, known[VALID_TO]) if VALID_TO in known else to_datetime(int(close[0]))
    if start < signal.timestamp:
        rule = f"not be before the signal is known, {instant_text(signal.timestamp)}"
        raise ContractError.of(f"{signal.symbol} {VALID_FROM}", rule, instant_text(start))
    return start, end
