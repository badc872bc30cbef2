"""R1 to R12 once more, bar by bar and as the rules read: what the compiled replay must equal. And random files for both."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import polars as pl

from fairlead.contracts.orders import CanonicalOrder, OrderSource
from fairlead.core.orders import OrderType, Side, TimeInForce
from fairlead.core.time import date_to_day, to_datetime
from fairlead.data.calendars import ExchangeCalendar

CALENDAR = ExchangeCalendar.get("XNYS")
SYMBOLS = ("AAA", "BBB", "CCC")
STEP = Decimal("0.10")


@dataclass
class Fate:
    """What became of an order."""

    status: str = "waiting"
    label: int | None = None
    price: float | None = None
    phase: str = ""
    exit_label: int | None = None
    exit_price: float | None = None
    reason: str = ""
    armed: int | None = None

    @property
    def outcome(self) -> tuple:
        return self.status, self.label, self.price, self.exit_label, self.exit_price, self.reason


class SlowReplay:
    """Walks all bars of all symbols in order of time."""

    def __init__(self, orders, bars, settings) -> None:
        self.orders = sorted(orders, key=lambda order: (order.symbol, order.order_id))
        self.settings = settings
        self.fates = {order.order_id: Fate() for order in orders}
        self.group_label: dict[str, int] = {}
        self.holding: dict[str, CanonicalOrder] = {}
        self.left_at: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.by_label: dict[int, dict[str, SimpleNamespace]] = defaultdict(dict)
        closing: dict[tuple[str, int], SimpleNamespace] = {}
        for bar in bars:
            self.by_label[bar.label][bar.symbol] = bar
            known = closing.get((bar.symbol, bar.session))
            closing[bar.symbol, bar.session] = bar if known is None or bar.label > known.label else known
        self.last_bars = {id(bar) for bar in closing.values()}

    def run(self) -> dict[str, tuple]:
        for label in sorted(self.by_label):
            there = self.by_label[label]
            for symbol in sorted(there):
                if symbol in self.holding:
                    self._leave(there[symbol])
            for order in self.orders:
                if order.symbol in there:
                    self._meet(order, there[order.symbol])
        for order in self.orders:
            fate = self.fates[order.order_id]
            if fate.status == "waiting":
                filled = self.group_label.get(self._group(order))
                cancelled = filled is not None and filled < self._end(order)
                fate.status = "order_cancelled_oco" if cancelled else "order_expired"
        return {key: fate.outcome for key, fate in self.fates.items()}

    def _group(self, order):
        return order.oco_id or order.order_id

    def _end(self, order):
        if order.order_id in self.ends:
            return self.ends[order.order_id]
        end = _ns(order.valid_to)
        if order.time_in_force is TimeInForce.DAY:
            day = date_to_day(order.valid_from.date())
            closes = CALENDAR.bounds(CALENDAR.sessions(day, day + 10))[1]
            end = min(end, next(int(close) for close in closes if close > _ns(order.valid_from)))
        self.ends[order.order_id] = end
        return end

    def _meet(self, order, bar) -> None:
        fate = self.fates[order.order_id]
        if fate.status != "waiting" or not _ns(order.valid_from) <= bar.label < self._end(order):
            return
        price, phase = self._entry(order, fate, bar)
        filled = self.group_label.get(self._group(order))
        if filled is not None and (filled < bar.label or price is not None):
            fate.status = "order_cancelled_oco"
        elif price is None and order.time_in_force is TimeInForce.IOC:
            fate.status = "order_cancelled_not_marketable"
        elif price is not None:
            self._trigger(order, price, phase, bar)

    def _trigger(self, order, price, phase, bar) -> None:
        fate = self.fates[order.order_id]
        if order.symbol in self.holding or self.left_at.get(order.symbol) == bar.label:
            fate.status = "order_rejected_netting_open_position"
            return
        legs = [(order, price, phase)]
        for other in self.orders:
            its = self.fates[other.order_id]
            sibling = other is not order and self._group(other) == self._group(order) and other.symbol == order.symbol
            if sibling and its.status == "waiting" and _ns(other.valid_from) <= bar.label < self._end(other):
                found = self._entry(other, its, bar)
                if found[0] is not None:
                    legs.append((other, *found))
        legs.sort(key=lambda leg: (leg[2] != "open", self._distance(leg[0], bar), leg[0].side is not Side.BUY))
        if len(legs) > 1 and self.settings.oco_same_bar_policy == "no_fill" and legs[0][2] != "open":
            for leg, _, _ in legs:
                self.fates[leg.order_id].status = "order_ambiguous_no_fill"
            return
        for leg, _, _ in legs[1:]:
            self.fates[leg.order_id].status = "order_cancelled_oco"
        self._enter(*legs[0], bar)

    def _distance(self, order, bar):
        if order.order_type is OrderType.MARKET:
            return Decimal(0)
        level = order.limit_price if order.order_type is OrderType.LIMIT else order.stop_price
        return abs(level - Decimal(str(bar.open)))

    def _entry(self, order, fate, bar):
        side, kind = order.side.sign, order.order_type
        if kind is OrderType.MARKET:
            return bar.open, "open"
        if kind is OrderType.LIMIT or (kind is OrderType.STOP_LIMIT and fate.armed not in {None, bar.label}):
            return self._limit(side, float(order.limit_price), bar, on_touch=self.settings.limit_fill_on_touch)
        stop = float(order.stop_price)
        gapped = (bar.open - stop) * side >= 0
        touched = bar.high >= stop if side > 0 else bar.low <= stop
        if not gapped and not touched:
            return None, ""
        if kind is OrderType.STOP:
            return (bar.open, "open") if gapped else (stop, "stop")
        fate.armed = bar.label
        limit = float(order.limit_price)
        if not min(stop, limit) <= bar.open <= max(stop, limit):
            return None, ""
        return self._limit(side, limit, bar, on_touch=self.settings.limit_fill_on_touch)

    def _limit(self, side, limit, bar, *, on_touch):
        best, worst = (bar.low, bar.open) if side > 0 else (bar.high, bar.open)
        if (limit - worst) * side > 0 or (on_touch and worst == limit):
            return bar.open, "open"
        if (limit - best) * side > 0 or (on_touch and best == limit):
            return limit, "limit"
        return None, ""

    def _enter(self, order, price, phase, bar) -> None:
        fate = self.fates[order.order_id]
        fate.status, fate.label, fate.price, fate.phase = "filled", bar.label, price, phase
        self.group_label[self._group(order)] = bar.label
        self.holding[order.symbol] = order
        side = order.side.sign
        stop, target = _float(order.stop_loss_price), _float(order.take_profit_price)
        if self.settings.allow_same_bar_exit or not bar.minute:
            if target is not None and phase == "open" and (price - target) * side >= 0:
                self._out(bar, price, "take_profit")
                return
            if stop is not None and (stop - price) * side >= 0:
                self._out(bar, price, "stop_loss")
                return
            if stop is not None and (bar.low <= stop if side > 0 else bar.high >= stop):
                self._out(bar, stop, "stop_loss")
                return
            # What a limit entry has seen before it filled is not known: only the close is certain to come later.
            seen = bar.close if phase == "limit" else (bar.high if side > 0 else bar.low)
            if target is not None and self._reached(side, target, seen):
                self._out(bar, target, "take_profit")
                return
        self._close_if_last(bar)

    def _reached(self, side, target, seen):
        beyond = (seen - target) * side
        return beyond > 0 or (beyond == 0 and self.settings.target_fill_on_touch)

    def _leave(self, bar) -> None:
        order = self.holding[bar.symbol]
        side = order.side.sign
        stop, target = _float(order.stop_loss_price), _float(order.take_profit_price)
        if stop is not None and (stop - bar.open) * side >= 0:
            self._out(bar, bar.open, "stop_loss")
        elif target is not None and self._reached(side, target, bar.open):
            self._out(bar, bar.open, "take_profit")
        elif stop is not None and (bar.low <= stop if side > 0 else bar.high >= stop):
            self._out(bar, stop, "stop_loss")
        elif target is not None and self._reached(side, target, bar.high if side > 0 else bar.low):
            self._out(bar, target, "take_profit")
        else:
            self._close_if_last(bar)

    def _close_if_last(self, bar) -> None:
        if id(bar) in self.last_bars:
            self._out(bar, bar.close, "session_end")

    def _out(self, bar, price, reason) -> None:
        fate = self.fates[self.holding.pop(bar.symbol).order_id]
        fate.exit_label, fate.exit_price, fate.reason = bar.label, price, reason
        self.left_at[bar.symbol] = bar.label


def random_frames(random, size, *, days=(2, 5), kept=0.9):
    """Coarse bars of a few sessions, an early close among them; levels are touched and hit together all the time."""
    first, last = (date_to_day(dt.date(2024, 7, day)) for day in days)
    labels = CALENDAR.labels(first, last, size)
    frames = {}
    for symbol in SYMBOLS:
        there = np.sort(random.choice(len(labels), int(len(labels) * kept), replace=False))
        close = 1000 + np.cumsum(random.integers(-3, 4, len(there)))
        open_ = np.append(close[0], close[:-1]) + random.integers(-2, 3, len(there)) * (random.random(len(there)) < 0.3)
        high = np.maximum(open_, close) + random.integers(0, 3, len(there))
        low = np.minimum(open_, close) - random.integers(0, 3, len(there))
        tenths = {"open": open_, "high": high, "low": low, "close": close}
        stamps = pl.Series("ts", labels[there]).cast(pl.Datetime("ns", "UTC"))
        values = {name: np.round(value / 10, 1) for name, value in tenths.items()}
        frames[symbol] = pl.DataFrame({"ts": stamps, **values, "volume": np.full(len(there), 1e3)})
    return frames


def random_orders(random, size, count=40):
    """Orders of every type, alone and in sets of up to three, with and without exits."""
    first, last = (date_to_day(dt.date(2024, 7, day)) for day in (2, 5))
    labels = CALENDAR.labels(first, last, size)
    found = []
    while len(found) < count:
        symbol = str(random.choice(SYMBOLS))
        start = int(labels[random.integers(len(labels))])
        base = STEP * int(random.integers(985, 1016))
        legs = int(random.integers(1, 4))
        for leg in range(legs):
            # In a set the side tells keys apart, and so does the symbol.
            side = Side.BUY if leg % 2 == 0 else Side.SELL
            where = symbol if leg < 2 else str(random.choice([name for name in SYMBOLS if name != symbol]))
            found.append(_random_order(random, f"G{len(found) - leg}", where, side, start, base, size))
    return found


def _random_order(random, group, symbol, side, start, base, size):
    sign = side.sign
    kind = OrderType(str(random.choice(["STOP", "STOP", "STOP", "LIMIT", "MARKET", "STOP_LIMIT"])))
    entry = base + STEP * sign * int(random.integers(0, 4))
    prices = {
        "stop_price": entry if kind in {OrderType.STOP, OrderType.STOP_LIMIT} else None,
        "limit_price": entry if kind is OrderType.LIMIT else entry + sign * STEP * int(random.integers(0, 3)),
        "stop_loss_price": entry - sign * STEP * int(random.integers(1, 6)) if random.random() < 0.8 else None,
        "take_profit_price": entry + sign * STEP * int(random.integers(3, 9)) if random.random() < 0.8 else None,
    }
    if kind not in {OrderType.LIMIT, OrderType.STOP_LIMIT}:
        prices["limit_price"] = None
    tif = TimeInForce(str(random.choice(["DAY", "DAY", "GTC", "IOC"])))
    bars = int(random.choice([1, 3, 10, 60, 500]))
    return CanonicalOrder.new(
        run_id="bt_slow",
        strategy="random",
        strategy_version="1.0.0",
        symbol=symbol,
        side=side,
        qty=Decimal(int(random.integers(1, 50))),
        order_type=kind,
        oco_id=group,
        valid_from=to_datetime(start + int(random.integers(0, 3)) * size.ns),
        valid_to=to_datetime(start + (3 + bars) * size.ns),
        time_in_force=tif,
        source=OrderSource.BACKTEST,
        created_at=to_datetime(start),
        **prices,
    )


def listed(bars) -> list[SimpleNamespace]:
    """The bars of a replay as objects."""
    found = []
    for symbol, start, stop in zip(bars.symbols, bars.starts, bars.starts[1:], strict=False):
        for i in range(int(start), int(stop)):
            open_, high, low, close = bars.floats[i].tolist()
            found.append(
                SimpleNamespace(
                    symbol=symbol, label=int(bars.ints[i, 0]), session=int(bars.session[i]), minute=bool(bars.ints[i, 4]),
                    open=open_, high=high, low=low, close=close,
                )
            )  # fmt: skip
    return found


def _ns(instant) -> int:
    return int(instant.timestamp()) * 1_000_000_000


def _float(value):
    return None if value is None else float(value)
