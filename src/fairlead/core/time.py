"""Time: UTC everywhere, int64 nanoseconds on hot paths, aware `datetime` at the SDK.

Nothing here reads the wall clock; only the clocks of `fairlead.engine` and the outermost shell do.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Final

from fairlead.core.errors import ConfigurationError, ContractError

NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MINUTE: Final = 60 * NS_PER_SECOND
NS_PER_DAY: Final = 86_400 * NS_PER_SECOND
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
EPOCH_DAY: Final = dt.date(1970, 1, 1)


def to_ns(instant: dt.datetime) -> int:
    """Return nanoseconds since the epoch.

    Raises
    ------
    ContractError
        If `instant` has no time zone: a naive stamp is ambiguous by hours.
    """
    if instant.tzinfo is None:
        raise ContractError.of("timestamp", "carry a time zone", instant.isoformat(), "Attach UTC: tz_localize('UTC').")
    delta = instant - EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_SECOND + delta.microseconds * 1_000


def to_datetime(ns: int) -> dt.datetime:
    """Return the UTC `datetime` of `ns`, truncated to the microsecond."""
    seconds, rest = divmod(int(ns), NS_PER_SECOND)
    instant = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return instant.replace(microsecond=rest // 1_000) if rest else instant


def format_utc(ns: int) -> str:
    """Return the text form ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    return to_datetime(ns).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def date_to_day(date: dt.date) -> int:
    """Return days since the epoch: the form in which bars carry their session."""
    return (date - EPOCH_DAY).days


def day_to_date(day: int) -> dt.date:
    """Return the calendar date of `day` days since the epoch."""
    return EPOCH_DAY + dt.timedelta(days=int(day))


class BarSize(StrEnum):
    """How long a bar lasts. Daily bars last one session, whatever its hours."""

    M1 = "1min"
    M5 = "5min"
    M15 = "15min"
    M30 = "30min"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @classmethod
    def parse(cls, text: str) -> BarSize:
        """Return the bar size for ``"1min"``, ``"M1"``, ``"1d"``, ``"D1"``, ``"daily"``, ...

        Raises
        ------
        ConfigurationError
            If the text names no known bar size.
        """
        folded = text.strip().lower()
        aliases = {"daily": cls.D1, "day": cls.D1, "1m": cls.M1, "5m": cls.M5, "15m": cls.M15, "30m": cls.M30, "60min": cls.H1}
        for size in cls:
            if folded in (size.value, size.name.lower()):
                return size
        if folded in aliases:
            return aliases[folded]
        raise ConfigurationError.of("bar_size", f"be one of {', '.join(s.value for s in cls)}", text)

    @property
    def is_intraday(self) -> bool:
        """Whether several bars fit into one session."""
        return self is not BarSize.D1

    @property
    def ns(self) -> int:
        """Nominal length in nanoseconds (a daily bar: 24 hours; its real end is its session's close)."""
        minutes = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1h": 60, "4h": 240, "1d": 1440}
        return minutes[self.value] * NS_PER_MINUTE
