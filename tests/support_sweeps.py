"""Strategies that other processes can import, and prices to sweep them over."""

from __future__ import annotations

import datetime as dt
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd

from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.sdk import ConfigurationError, OrderIntent, Strategy, parameter

FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 6, 28)
NOON = dt.datetime(2024, 7, 1, 12, 0, 0, tzinfo=dt.UTC)


def prices(seed: int = 1) -> pd.DataFrame:
    """Half a year of daily bars."""
    labels = ExchangeCalendar.get("XNYS").labels(date_to_day(FIRST), date_to_day(LAST), BarSize.D1)
    close = 50 + np.random.default_rng(seed).normal(0, 1, len(labels)).cumsum()
    columns = {"open": close - 0.1, "high": close + 1, "low": close - 1, "close": close, "volume": 1e6}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(labels, tz="UTC"))


class Above(Strategy):
    """Long while the close is above its own mean of `n` bars; `n` and `wait` may not be equal; 13 is unlucky."""

    n: int = parameter(5, ge=2, le=50, doc="Bars in the mean.")
    wait: int = parameter(0, ge=0, le=50, doc="Bars to wait at the start.")
    share: float = parameter(0.5, gt=0, le=1, doc="Share of equity.")

    def validate(self):
        if self.n == self.wait:
            raise ConfigurationError.of("wait", f"differ from n ({self.n})", self.wait)

    def on_start(self, context):
        self.bars = 0

    def generate_orders(self, context):
        self.bars += 1
        if self.n == 13 and self.bars == 20:
            raise ValueError("thirteen")
        closes = context.historical_data.closes("ASSET", self.n)
        if len(closes) < self.n or self.bars <= self.wait:
            return []
        wanted = self.share if closes[-1] > closes.mean() else 0.0
        return [OrderIntent.target_weight("ASSET", wanted)]


class Deadly(Above):
    """Ends its process at `n` 7: each time, or only while there is no file `once`."""

    once: str = parameter("", doc="File that is left behind.")

    def on_start(self, context):
        super().on_start(context)
        if self.n == 7 and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
