"""Bars from trades, quotes or shorter bars as they come: what `fairlead.data.resampling` does to frames (domain 2.4)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeAlias

import numpy as np

from fairlead.contracts.sessions import SessionCalendar
from fairlead.core.errors import ConfigurationError
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize
from fairlead.data.live.feed import MarketEvent
from fairlead.data.live.settings import AggregationSettings

_Values: TypeAlias = tuple[float, float, float, float, float]
_KINDS: Final = {"trades": Trade, "quotes": Quote, "bars": Bar}
_BEFORE_ALL: Final = -(2**63)
_AFTER_ALL: Final = 2**63
_KEPT: Final = 8  # bars of a symbol that can still be amended


class _Growing:
    """A bar that is not over."""

    __slots__ = ("close", "count", "first_ns", "high", "known_ns", "label_ns", "last_ns", "low", "open", "volume")

    def __init__(self, label_ns: int, known_ns: int) -> None:
        self.label_ns = label_ns
        self.known_ns = known_ns
        self.first_ns = known_ns
        self.last_ns = label_ns
        self.open = self.high = self.low = self.close = float("nan")
        self.volume = 0.0
        self.count = 0

    def bar(self, symbol: str, *, is_mean: bool) -> Bar:
        volume = self.volume / self.count if is_mean else self.volume
        return Bar(symbol, self.label_ns, self.known_ns, self.open, self.high, self.low, self.close, volume)

    def add(self, at_ns: int, values: _Values) -> None:
        """Take in what was traded from `at_ns` on; the first by its stamp opens the bar and the last closes it."""
        open_, high, low, close, volume = values
        if self.open != self.open:
            self.open, self.high, self.low, self.close = open_, high, low, close
        else:
            self.high, self.low = max(self.high, high), min(self.low, low)
            if at_ns < self.first_ns:
                self.open = open_
            if at_ns >= self.last_ns:
                self.close = close
        self.first_ns, self.last_ns = min(self.first_ns, at_ns), max(self.last_ns, at_ns)
        self.volume += volume
        self.count += 1


class BarBuilder:
    """Makes the bars of any number of symbols. Buckets count from the opening of their segment and never reach across it.

    A bar comes out when its end has passed, by the clock (`advance`) or by the stamp of a later event of any symbol. Instants
    without a trade make no bar.

    Parameters
    ----------
    bar_size : BarSize
        An intraday size.
    calendar : SessionCalendar
    settings : AggregationSettings
        Of trades, volume is the sum of their sizes; quotes have none, or what they display.

    Attributes
    ----------
    outside : int
        Events out of session, left out.
    late : int
        Events of bars that were out already.
    amended : int
        Bars that came out again.
    grace_ns : int
        How long a bar waits after its end.
    passed_ns : int
        Whatever ends at or before this is out.

    Raises
    ------
    ConfigurationError
        If `bar_size` is not intraday.
    """

    def __init__(self, bar_size: BarSize, calendar: SessionCalendar, settings: AggregationSettings | None = None) -> None:
        if not bar_size.is_intraday:
            raise ConfigurationError.of("bar_size", "be intraday to be made of ticks", bar_size.value)
        settings = AggregationSettings() if settings is None else settings
        self._length_ns = bar_size.ns
        self._calendar = calendar
        self._counted = _KINDS[settings.source]
        self._amends = settings.late == "amend"
        self._shows = settings.volume == "displayed"
        self.grace_ns: Final = round(settings.grace_s * NS_PER_SECOND)
        self._growing: dict[tuple[int, str], _Growing] = {}
        self._out: dict[str, OrderedDict[int, _Growing]] = {}
        self._last_out: dict[str, int] = {}
        self.passed_ns = _BEFORE_ALL
        self._due_ns = _AFTER_ALL
        self._segment: tuple[int, int, bool] = (0, 0, False)
        self.outside = 0
        self.late = 0
        self.amended = 0

    @property
    def due_ns(self) -> int | None:
        """The time to advance to, for the next bar to be out; None if none is growing."""
        return min(known_ns for known_ns, _ in self._growing) + self.grace_ns if self._growing else None

    def add(self, event: MarketEvent) -> list[Bar]:
        """Take in an event and return the bars that are out now, ordered by closing instant and symbol.

        Events of the kind that the settings name count; the others only move the time on. An amended bar has
        the label of the one it replaces and comes last.
        """
        known_ns = event.known_ns
        if isinstance(event, Bar):
            # Other symbols' bars of the same instant may still come: only what ended before it is over.
            ready = self._advance(known_ns - 1)
            if self._counted is not Bar:
                return ready
            values = (event.open, event.high, event.low, event.close, event.volume)
            return ready + self._count(event.symbol, event.label_ns, values, until_ns=known_ns)
        ready = self._advance(known_ns)
        if not isinstance(event, self._counted):
            return ready
        if isinstance(event, Quote):
            price, size = event.mid, min(event.bid_size, event.ask_size) if self._shows else 0.0
        else:
            price, size = event.price, event.size
        return ready + self._count(event.symbol, known_ns, (price, price, price, price, size), until_ns=known_ns)

    def advance(self, now_ns: int) -> list[Bar]:
        """Return the bars whose end has passed by the clock, ordered by closing instant and symbol.

        To be called when the events of the instant `now_ns` have been added.
        """
        return self._advance(now_ns)

    def _advance(self, until_ns: int) -> list[Bar]:
        self.passed_ns = max(self.passed_ns, until_ns - self.grace_ns)
        if self.passed_ns < self._due_ns:
            return []
        over = sorted(key for key in self._growing if key[0] <= self.passed_ns)
        bars = [self._finish(key) for key in over]
        self._due_ns = min((known_ns for known_ns, _ in self._growing), default=_AFTER_ALL)
        return bars

    def _count(self, symbol: str, at_ns: int, values: _Values, *, until_ns: int) -> list[Bar]:
        open_ns, close_ns, inside = self._find(at_ns)
        if not inside:
            self.outside += 1
            return []
        label_ns = open_ns + (at_ns - open_ns) // self._length_ns * self._length_ns
        key = min(label_ns + self._length_ns, close_ns), symbol
        growing = self._growing.get(key)
        if growing is None:
            if key[0] <= max(self.passed_ns, self._last_out.get(symbol, _BEFORE_ALL)):
                return self._count_late(key, label_ns, at_ns, values)
            growing = self._growing[key] = _Growing(label_ns, key[0])
            self._due_ns = min(self._due_ns, key[0])
        growing.add(at_ns, values)
        # The last of the shorter bars: nothing more can come into this one.
        return [self._finish(key)] if at_ns < until_ns == key[0] and not self.grace_ns else []

    def _count_late(self, key: tuple[int, str], label_ns: int, at_ns: int, values: _Values) -> list[Bar]:
        self.late += 1
        if not self._amends:
            return []
        out = self._out.setdefault(key[1], OrderedDict())
        if key[0] not in out and out and key[0] < next(iter(out)):
            return []  # older than what is kept
        bar = out.setdefault(key[0], _Growing(label_ns, key[0]))
        bar.add(at_ns, values)
        self.amended += 1
        return [bar.bar(key[1], is_mean=self._shows)]

    def _finish(self, key: tuple[int, str]) -> Bar:
        known_ns, symbol = key
        growing = self._growing.pop(key)
        self._last_out[symbol] = max(known_ns, self._last_out.get(symbol, known_ns))
        if self._amends:
            out = self._out.setdefault(symbol, OrderedDict())
            out[known_ns] = growing
            if len(out) > _KEPT:
                out.popitem(last=False)
        return growing.bar(symbol, is_mean=self._shows)

    def _find(self, at_ns: int) -> tuple[int, int, bool]:
        """Return the bounds of the segment that holds an instant, or of the break that does, and whether it is a segment."""
        open_ns, close_ns, _ = self._segment
        if not open_ns <= at_ns < close_ns:
            parts = self._calendar.segments_between(at_ns - NS_PER_DAY, at_ns + NS_PER_DAY)
            found = int(np.searchsorted(parts.open_ns, at_ns, side="right")) - 1
            if found >= 0 and at_ns < parts.close_ns[found]:
                self._segment = int(parts.open_ns[found]), int(parts.close_ns[found]), True
            else:
                ended = int(parts.close_ns[found]) if found >= 0 else at_ns
                follows = int(parts.open_ns[found + 1]) if found + 1 < len(parts.open_ns) else at_ns + 1
                self._segment = ended, follows, False
        return self._segment
