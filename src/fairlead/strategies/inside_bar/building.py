"""Signal bars from the bars that come in: one aggregator, one bar at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.contracts.sessions import SessionHours
from fairlead.core.errors import ConfigurationError
from fairlead.strategies.inside_bar.rules import SignalBar


class BarBuilder:
    """Builds bars of one length from bars as long or shorter; buckets count from the opening of their segment.

    What it builds is what `fairlead.data.resampling` makes of the same bars: an empty bucket gives no bar.

    Parameters
    ----------
    bar_ns : int
        Length of a bar that is built, in nanoseconds.
    """

    def __init__(self, bar_ns: int) -> None:
        self._bar_ns = bar_ns
        self._bar: SignalBar | None = None
        self.end_ns = 0
        """When the bar that is being built is over; 0 if there is none."""

    def add(
        self, prices: tuple[float, float, float, float], label_ns: int, known_ns: int, hours: SessionHours
    ) -> list[SignalBar]:
        """Take in a bar, and return the bars that it completes, oldest first: two if minutes were missing.

        Parameters
        ----------
        prices : tuple of float
            Open, high, low and close, in currency.
        label_ns, known_ns : int
            When the bar began, and when it was over.
        hours : SessionHours
            Of the session that it lies in.

        Raises
        ------
        ConfigurationError
            If it is longer than the bars that are to be built of it.
        """
        start = hours.segment_open_ns + (label_ns - hours.segment_open_ns) // self._bar_ns * self._bar_ns
        end = min(start + self._bar_ns, hours.segment_close_ns)
        if known_ns > end:
            minutes = self._bar_ns // 60_000_000_000
            rule = "be at least the length of the bars that the strategy runs on"
            raise ConfigurationError.of("timeframe_minutes", rule, minutes, "Run it on M1 bars, or on bars of that length.")
        done = []
        if self._bar is not None and self._bar.start_ns != start:
            done.append(self._take())
        open_, high, low, close = prices
        if self._bar is None:
            self._bar, self.end_ns = SignalBar(start, open_, high, low, close), end
        else:
            bar = self._bar
            self._bar = SignalBar(start, bar.open, max(bar.high, high), min(bar.low, low), close)
        if known_ns >= end:
            done.append(self._take())
        return done

    def finish(self, now_ns: int) -> SignalBar | None:
        """Return the bar that is over by now although its last part never came, if there is one."""
        return self._take() if self._bar is not None and now_ns >= self.end_ns else None

    def _take(self) -> SignalBar:
        bar, self._bar, self.end_ns = self._bar, None, 0
        assert bar is not None, "a bar is taken only where there is one"
        return bar

    def rescale(self, factor: float) -> None:
        """Multiply the prices of the bar that is being built, after a split."""
        if self._bar is not None:
            self._bar = SignalBar(self._bar.start_ns, *(price * factor for price in self._bar[1:]))

    def save(self) -> dict[str, Any]:
        """Return what it knows, as JSON-able values."""
        return {"bar": None if self._bar is None else list(self._bar), "end": self.end_ns}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `save` returned."""
        self._bar = None if state["bar"] is None else SignalBar(*state["bar"])
        self.end_ns = state["end"]
