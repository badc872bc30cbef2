"""Breakouts from the range of a session's first minutes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.factory.plugin import Found, Frame, SessionView, SignalPlugin
from fairlead.factory.scoring import range_scores


class OpeningRange(SignalPlugin):
    """Buys above, and sells below, the range of the first minutes of a session; the stop is at its other side.

    Setups that make no signal are rejected as ``incomplete_range`` (a bar of it is missing; of a range without its last bar
    nothing is known), ``flat_range`` (its high is its low) or ``no_room`` (a target at or below 0, or no time before the
    close).

    Parameters
    ----------
    minutes : int
        Length of the range, a whole number of bars.
    risk_reward_ratio : float
        Distance of the target over that of the stop.
    score_sessions : int
        How many daily bars the score needs.
    """

    name: ClassVar[str] = "opening_range"
    version: ClassVar[str] = "1.0.0"

    minutes: int = Field(default=30, ge=1, le=180)
    risk_reward_ratio: float = Field(default=2.0, gt=0, le=100)
    score_sessions: int = Field(default=5, ge=1, le=250)

    @property
    def history_sessions(self) -> int:
        """None: a range is of its session."""
        return 0

    def require(self, bar_size: BarSize) -> None:
        """Refuse a range that is no whole number of bars."""
        if self.minutes * NS_PER_MINUTE % bar_size.ns:
            raise ConfigurationError.of("minutes", f"be a whole number of bars of {bar_size.value}", self.minutes)

    def scores(self, daily: Mapping[str, Frame]) -> Mapping[str, float]:
        """Return the mean daily range of each symbol, as a fraction."""
        return range_scores(daily, self.score_sessions)

    def signals(self, view: SessionView) -> Found:
        """Return at most one signal, known when the range is complete."""
        opening, close = view.bounds
        complete_at = opening + dt.timedelta(minutes=self.minutes)
        bars = view.after_open(self.minutes)
        if bars.height == 0 or view.known_at(bars) < min(complete_at, close):
            # The last bar of the range is missing, or not there yet: nothing can be known of it.
            return Found()
        known = view.known_at(bars)
        if bars.height < self.minutes * NS_PER_MINUTE // view.bar_size.ns:
            return Found(rejects=(view.reject("incomplete_range", known, f"{bars.height} bars"),))
        high, low = view.price(bars["HIGH"].max()), view.price(bars["LOW"].min())
        distance = high - low
        if distance <= 0:
            return Found(rejects=(view.reject("flat_range", known),))
        reach = float(distance) * self.risk_reward_ratio
        # Targets are rounded away from the entry (domain rule 1.3).
        tp_long = view.price(view.instrument.ceil_price(float(high) + reach))
        tp_short = view.price(view.instrument.floor_price(float(low) - reach))
        if tp_short <= 0 or known >= close:
            return Found(rejects=(view.reject("no_room", known),))
        signal = view.signal(
            known,
            setup="opening_range",
            long_entry=high,
            sl_long=low,
            tp_long=tp_long,
            short_entry=low,
            sl_short=high,
            tp_short=tp_short,
        )
        return Found(signals=(signal,))
