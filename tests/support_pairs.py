"""A strategy that sends random one-cancels-other pairs of brackets, and random sessions for it to trade."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from fairlead.core.intents import OrderIntent, one_cancels_other
from fairlead.core.orders import OrderType, TimeInForce
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize, date_to_day, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from support_sessions import ArraySource, Scripted

CALENDAR = ExchangeCalendar.get("XNYS")
TICK = 0.01
UNITS = 30.0
WEEKS = {
    "a DST change in spring": (dt.date(2024, 3, 7), dt.date(2024, 3, 13)),
    "a DST change in autumn": (dt.date(2024, 10, 31), dt.date(2024, 11, 5)),
    "early closes": (dt.date(2024, 7, 2), dt.date(2024, 7, 5)),
    "the day after Thanksgiving": (dt.date(2024, 11, 27), dt.date(2024, 12, 2)),
}


def random_source(
    seed: int,
    week: str,
    symbols: tuple[str, ...] = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH"),
    *,
    gaps: float = 0.1,
):
    """Five-minute bars on the tick; some are missing, but never the last of a session, in which positions are closed."""
    random = np.random.default_rng(seed)
    first, last = (date_to_day(day) for day in WEEKS[week])
    labels = CALENDAR.labels(first, last, BarSize.M5)
    known, session = CALENDAR.closing_instants(labels, BarSize.M5)
    shape = (len(labels), len(symbols))
    close = 10_000 + np.cumsum(random.integers(-30, 31, shape), axis=0)
    # Opens jump now and then, so that orders gap.
    jump = np.where(random.random(shape) < 0.08, random.integers(-60, 61, shape), random.integers(-3, 4, shape))
    open_ = np.vstack([close[:1], close[:-1]]) + jump
    high = np.maximum(open_, close) + random.integers(0, 25, shape)
    low = np.minimum(open_, close) - random.integers(0, 25, shape)
    ends = np.append(session[1:] != session[:-1], True)
    missing = (random.random(shape) < gaps) & ~ends[:, None]
    arrays = {name: np.where(missing, np.nan, np.round(cents * TICK, 2)) for name, cents in
              (("open", open_), ("high", high), ("low", low), ("close", close))}  # fmt: skip
    arrays["volume"] = np.where(missing, np.nan, 1e6)
    return ArraySource(symbols, arrays, session=session, label_ns=labels, known_ns=known, bar_size=BarSize.M5)


def frames_of(source: ArraySource) -> dict[str, pl.DataFrame]:
    """The bars of a source as frames by symbol."""
    found = {}
    for i, symbol in enumerate(source.symbols):
        there = ~np.isnan(source.arrays["close"][:, i])
        stamps = pl.Series("ts", source.label_ns[there]).cast(pl.Datetime("ns", "UTC"))
        found[symbol] = pl.DataFrame({"ts": stamps, **{name: array[there, i] for name, array in source.arrays.items()}})
    return found


class Pairs(Scripted):
    """Where it holds nothing and nothing works: a stop on either side, with exits, for an hour at most.

    What is open at the end of the session is sold, or bought back, at its close.
    """

    name = "pairs"
    version = "1.0.0"

    def generate_orders(self, context):
        wanted, now = [], context.current_ns
        days = CALENDAR.sessions(now // NS_PER_DAY, now // NS_PER_DAY)
        close = int(CALENDAR.bounds(days)[1][0])
        busy = {order.symbol for order in context.open_orders if order.order_type is not OrderType.MARKET}
        closing = {(order.symbol, order.side.sign) for order in context.open_orders if order.order_type is OrderType.MARKET}
        for symbol in context.symbols:
            held = context.portfolio.quantity(symbol)
            if held:
                if (symbol, int(-np.sign(held))) not in closing and now < close:
                    wanted.append(closing_order(symbol, -held))
            elif symbol not in busy and now + 10 * NS_PER_MINUTE <= close and context.random.random() < 0.5:
                wanted += self._pair(symbol, context, now, close)
        return wanted

    def _pair(self, symbol, context, now, close):
        closes = context.historical_data.closes(symbol, 1)
        if not len(closes) or closes[-1] != closes[-1]:
            return []
        cents = [int(step) for step in context.random.integers(1, 40, 6)]
        mark = round(float(closes[-1]) / TICK)
        # The last bar of a session is left to the closing order.
        end = to_datetime(min(now + int(context.random.integers(1, 13)) * 5 * NS_PER_MINUTE, close - 5 * NS_PER_MINUTE))
        legs = []
        for side, place in ((1, 0), (-1, 3)):
            entry = mark + side * cents[place]
            far = int(context.random.choice([1, 1, 1, 10]))
            stop, target = entry - side * far * cents[place + 1], entry + side * 2 * far * cents[place + 2]
            leg = OrderIntent.stop(symbol, side * UNITS, price(entry), time_in_force=TimeInForce.GTD, expires_at=end)
            legs.append(leg.with_exits(stop_loss=price(stop), take_profit=price(target)))
        return one_cancels_other(*legs, name=symbol)


def price(cents: int) -> float:
    return round(cents * TICK, 2)


def closing_order(symbol: str, amount: float) -> OrderIntent:
    """A market-on-close order that only reduces."""
    return OrderIntent(symbol=symbol, amount=amount, time_in_force=TimeInForce.CLS, reduce_only=True, tag="session_end")
