"""Bars for tests of the inside bar: random walks on the calendar's grid, and sessions drawn by hand."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.strategies.inside_bar import BarArrays

CALENDAR = ExchangeCalendar.get("XNYS")
EASY = {
    "required_warmup_bars": 0,
    "min_mother_bar_size": 0.0,
    "min_mother_body_fraction": 0.0,
    "min_inside_body_fraction": 0.0,
    "atr_period": 2,
}
"""Filters off: every inside bar of a window counts."""


def labels(first, last, size=BarSize.M5):
    """The starts of all bars of the sessions from one date to another."""
    days = [date_to_day(dt.date.fromisoformat(day)) for day in (first, last)]
    return CALENDAR.labels(*days, size)


def walk(first, last, *, seed=5001, size=BarSize.M5, start=100.0, swing=0.12):
    """A random walk in cents, with wicks: `OPEN, HIGH, LOW, CLOSE, VOLUME` by UTC stamp."""
    stamps = labels(first, last, size)
    rng = np.random.default_rng(seed)
    close = start + np.cumsum(rng.normal(0, swing, len(stamps)))
    opens = np.append(start, close[:-1]) + rng.normal(0, swing / 8, len(stamps))
    high = np.maximum(opens, close) + np.abs(rng.normal(0, swing / 3, len(stamps)))
    low = np.minimum(opens, close) - np.abs(rng.normal(0, swing / 3, len(stamps)))
    return frame(stamps, np.round(np.column_stack([opens, high, low, close]), 2))


def frame(stamps, prices):
    """Rows of open, high, low and close as a frame."""
    index = pd.DatetimeIndex(np.asarray(stamps).astype("datetime64[ns]"), tz="UTC")
    data = pd.DataFrame(np.asarray(prices, float), index=index, columns=["OPEN", "HIGH", "LOW", "CLOSE"])
    return data.assign(VOLUME=1_000_000.0)


def arrays(data):
    """The columns of a frame."""
    stamps = data.index.as_unit("ns").asi8
    return BarArrays(stamps, *(data[name].to_numpy() for name in ("OPEN", "HIGH", "LOW", "CLOSE")))


def session(day, bars, *, filler=(100.0, 100.2, 99.8, 100.0), size=BarSize.M5):
    """One session: bars by their place in it, and a filler everywhere else, each wider than the one before it."""
    stamps = labels(day, day, size)
    rows = []
    for i in range(len(stamps)):
        open_, high, low, close = filler
        rows.append(bars.get(i, (open_, high + 0.01 * i, low - 0.01 * i, close)))
    return frame(stamps, rows)
