"""Synthetic best bids and offers along the path of the synthetic bars."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import DataNotFound, UnknownName
from fairlead.core.events import Quote
from fairlead.core.time import NS_PER_MINUTE, BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic.market import Grid, Market
from fairlead.data.synthetic.paths import SessionBars, schedules, session_bars, smile_shares
from fairlead.data.synthetic.settings import SyntheticSettings, describe

# Spreads are lognormal around their level, with mean 1.
SPREAD_NOISE: Final = 0.25

QUOTE_SCHEMA: Final = pa.schema(
    [
        pa.field("known", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("bid", pa.float64(), nullable=False),
        pa.field("ask", pa.float64(), nullable=False),
        pa.field("bid_size", pa.float64(), nullable=False),
        pa.field("ask_size", pa.float64(), nullable=False),
    ]
)
"""One row per quote, ``known`` strictly increasing per symbol; prices in currency, sizes in units."""


def generate_quotes(settings: SyntheticSettings, calendar: ExchangeCalendar, symbol: str, session: dt.date) -> pa.Table:
    """Return the quotes of one symbol in one session.

    Before rounding to the tick, the middle of each quote lies within its bar's range; the bars are those of `generate_bars`
    with the same settings, or one-minute bars if the settings ask for daily ones. Spreads widen as volatility does: at the
    open, at the close and in a storm.

    Returns
    -------
    pyarrow.Table
        In `QUOTE_SCHEMA`, bid < ask; the schema's metadata carries the text of `describe`.

    Raises
    ------
    ConfigurationError
        If `calendar` is not the one that `settings` names.
    DataNotFound
        If `session` is not one of the generated sessions.
    UnknownName
        If `symbol` is not one of the generated symbols.
    """
    if symbol not in settings.names:
        raise UnknownName.among("synthetic symbol", symbol, settings.names)
    market = Market.draw(settings, calendar, (symbol,))
    row = int(np.searchsorted(market.session, date_to_day(session)))
    if row == len(market.session) or market.session[row] != date_to_day(session):
        raise DataNotFound(
            f"{session} is not a session of {calendar.name} from {settings.start} to {settings.end}. Choose one that is."
        )
    bar_size = settings.bar_size if settings.bar_size.is_intraday else BarSize.M1
    (schedule,) = schedules(market, bar_size, row, row + 1)
    bars = session_bars(market, schedule)
    share = smile_shares(schedule.elapsed, settings.smile)
    random = market.stream(f"quotes/{symbol}", row)

    label, known = schedule.label_ns[0], schedule.known_ns[0]
    minutes = float((known - label).sum()) / NS_PER_MINUTE
    counts = random.poisson(settings.quotes.per_minute * minutes * share)
    bar = np.repeat(np.arange(len(counts)), counts)
    place = np.sort(bar + random.random(len(bar)))
    stamp = label[bar] + np.maximum(1, np.ceil((place - bar) * (known - label)[bar]).astype(np.int64))
    middle = _middle(bars, bar, place, float(market.deviation[row, 0]) * np.sqrt(share), random)

    normal = settings.regimes.multipliers()[1]
    level = np.sqrt(share / np.diff(schedule.elapsed))
    level *= settings.quotes.spread_bps / 1e4 / level.min() * market.activity[row] / normal
    noise = np.exp(SPREAD_NOISE * random.standard_normal(len(bar)) - 0.5 * SPREAD_NOISE**2)
    width = np.maximum(1.0, np.rint(middle * level[bar] * noise / settings.tick))
    bid = np.maximum(1.0, np.rint(middle / settings.tick - 0.5 * width))
    sizes = random.geometric(1.0 / settings.quotes.mean_lots, (2, len(bar))) * settings.quotes.lot

    grid = Grid(settings.tick)
    distinct = np.concatenate([[True], np.diff(stamp) > 0]) if len(stamp) else np.empty(0, np.bool_)
    schema = QUOTE_SCHEMA.with_metadata({b"provenance": describe(settings).encode(), b"synthetic": b"true"})
    columns = [
        pa.array(stamp[distinct]).view(schema.field("known").type),
        pa.array([symbol] * int(distinct.sum()), pa.string()),
        *(pa.array(values[distinct]) for values in (grid.price(bid.copy()), grid.price(bid + width), sizes[0], sizes[1])),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def quote_events(table: pa.Table) -> Iterator[Quote]:
    """Yield the rows of a quote table as events."""
    stamps = table.column("known").combine_chunks().view(pa.int64()).to_pylist()
    columns = (table.column(name).to_pylist() for name in ("bid", "ask", "bid_size", "ask_size"))
    for symbol, known, *values in zip(table.column("symbol").to_pylist(), stamps, *columns, strict=True):
        yield Quote(symbol, known, *values)


def _middle(
    bars: SessionBars, bar: IntArray, place: FloatArray, deviation: FloatArray, random: np.random.Generator
) -> FloatArray:
    """Return prices at `place` (bar number plus fraction) on a path from each bar's open to its close, within its range."""
    opened, high, low, closed = (array[0, 0][bar] for array in (bars.open, bars.high, bars.low, bars.close))
    bounds = np.arange(len(deviation) + 1, dtype=np.float64)
    points = np.concatenate([bounds, place])
    order = np.argsort(points, kind="stable")
    steps = np.sqrt(np.diff(points[order], prepend=0.0)) * random.standard_normal(len(points))
    walk = np.empty(len(points))
    walk[order] = np.cumsum(steps)
    bridge = walk[len(bounds) :] - np.interp(place, bounds, walk[: len(bounds)])
    path = opened + (place - bar) * (closed - opened) + bridge * deviation[bar] * opened
    inside: FloatArray = np.clip(path, low, high)
    return inside
