"""Daily bars of intraday ones, and the check that they are such."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from fairlead.contracts.frames import DailyFrameSpec
from fairlead.core.time import NS_PER_DAY, BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.factory.sources import STAMP


def daily_bars(frame: pl.DataFrame, bar_size: BarSize, calendar: ExchangeCalendar) -> pl.DataFrame:
    """Return one bar a session, stamped with the session's date at 00:00 UTC; it is known at the session's close.

    Raises
    ------
    ContractError
        If a bar lies in no session, or the result breaks the contract of daily frames.
    """
    _, session = calendar.closing_instants(frame[STAMP].to_physical().to_numpy(), bar_size)
    stamps = pl.Series(STAMP, session.astype(np.int64) * NS_PER_DAY).cast(frame[STAMP].dtype)
    daily = (
        frame.with_columns(stamps)
        .group_by(STAMP, maintain_order=True)
        .agg(
            pl.col("OPEN").first(),
            pl.col("HIGH").max(),
            pl.col("LOW").min(),
            pl.col("CLOSE").last(),
            pl.col("VOLUME").sum(),
        )
    )
    DailyFrameSpec().assert_valid(daily, calendar)
    return daily


def up_to(daily: Mapping[str, pl.DataFrame], day: int, sessions: int) -> dict[str, pl.DataFrame]:
    """Return each symbol's last daily bars up to the session `day`, at most `sessions`; who has none is left out."""
    found = {}
    for symbol, frame in daily.items():
        stop = int(frame[STAMP].to_physical().to_numpy().searchsorted(day * NS_PER_DAY, side="right"))
        if stop:
            found[symbol] = frame.slice(max(0, stop - sessions), min(stop, sessions))
    return found
