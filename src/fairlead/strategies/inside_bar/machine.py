"""The state machine of one symbol: signal bars in, setups and rejects out (domain rules 6.2-6.7).

The strategy and the scan feed the same machine, so that they cannot find different setups.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from fairlead.contracts.sessions import SessionHours
from fairlead.core.time import to_ns
from fairlead.strategies.inside_bar.rules import (
    InsideBarRules,
    Leg,
    SignalBar,
    average_true_range,
    body_fraction,
    is_inside,
    levels_of,
    reaches,
    true_range,
    validity_of,
)
from fairlead.strategies.inside_bar.windows import SessionWindows, Window


class Reason(StrEnum):
    """Why a pattern leads to no orders: the closed list of domain rule 6.7."""

    NAIVE_TIMESTAMP = "naive_timestamp"
    OUT_OF_SESSION = "out_of_session"
    MOTHER_BAR_OUTSIDE_SESSION = "mother_bar_outside_session"
    NON_CONSECUTIVE_BARS = "non_consecutive_bars"
    MOTHER_BAR_TOO_SMALL = "mother_bar_too_small"
    MB_BODY_FRACTION = "MB_BODY_FRACTION"
    IB_BODY_FRACTION = "IB_BODY_FRACTION"
    WARMUP = "warmup"
    NON_POSITIVE_RISK = "non_positive_risk"
    MAX_TRADES_REACHED = "max_trades_reached"
    INVALID_VALIDITY_WINDOW = "invalid_validity_window"
    TRIGGER_OUTSIDE_SESSION = "trigger_outside_session"
    BELOW_MIN_QTY = "below_min_qty"


class Reject(NamedTuple):
    """A pattern, or a setup, that comes to nothing.

    Attributes
    ----------
    ts_ns : int
        Start of the bar at which that was clear; 0 for a stamp that says no instant.
    """

    ts_ns: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Setup:
    """Two sides of which one may trade.

    Attributes
    ----------
    mother_ns, inside_ns : int
        Starts of the two bars.
    signal_ns : int
        When it became known: the end of the inside bar.
    valid_from_ns, valid_to_ns : int
        When its orders work, half-open.
    window : tuple of int
        Local day and index of the window it was found in.
    atr : float
        At the mother bar, in currency; NaN if it was not known.
    """

    mother_ns: int
    inside_ns: int
    signal_ns: int
    valid_from_ns: int
    valid_to_ns: int
    window: tuple[int, int]
    long: Leg
    short: Leg
    atr: float

    def legs(self) -> tuple[Leg, Leg]:
        """Return the long and the short side."""
        return self.long, self.short


class Confirmation(NamedTuple):
    """A bar has closed beyond a level: enter at the next open."""

    setup: Setup
    leg: Leg


Found: TypeAlias = Setup | Confirmation | Reject | None


class _Stage(StrEnum):
    WAITING = "waiting"
    SPENT = "spent"
    """All its trades are given out; one more pattern is told of."""
    DONE = "done"


_WAITING: Final = _Stage.WAITING
_NOWHERE: Final = (-1, -1)
_NAN: Final = float("nan")


class InsideBarMachine:
    """Looks for the pattern in the signal bars of one symbol, one bar at a time.

    Parameters
    ----------
    rules : InsideBarRules
    windows : SessionWindows, optional
        Those of the rules, if they have been read already.
    """

    def __init__(self, rules: InsideBarRules, windows: SessionWindows | None = None) -> None:
        self._rules = rules
        self._windows = windows or SessionWindows(rules.session_timezone, rules.session_windows)
        self._mode, self._strict = rules.inside_bar_definition_mode, rules.inside_bar_mode == "strict"
        # One more than the mean needs: the last one is the inside bar's, and the mean is the mother's.
        self._ranges: deque[float] = deque(maxlen=rules.atr_period + 1)
        self._last: SignalBar | None = None
        self._bars = 0
        self._key = _NOWHERE
        self._stage = _WAITING
        self._setups = 0
        self._pending: Setup | None = None

    def step(
        self, start: int | dt.datetime, open_: float, high: float, low: float, close: float, hours: SessionHours | None
    ) -> Found:
        """Take in the next bar, and return what it leads to.

        Parameters
        ----------
        start : int or datetime
            Its start, in nanoseconds, or with a time zone: a naive one is refused.
        open_, high, low, close : float
            Currency.
        hours : SessionHours, optional
            The exchange session that it lies in, if it does.
        """
        if not isinstance(start, int):
            if start.tzinfo is None:
                return Reject(0, Reason.NAIVE_TIMESTAMP)
            start = to_ns(start)
        bar, mother = SignalBar(start, open_, high, low, close), self._last
        self._last = bar
        self._bars += 1
        if mother is None:
            return None
        self._ranges.append(true_range(bar, mother.close))
        if self._pending is not None and start >= self._pending.valid_to_ns:
            self._pending = None
        if self._pending is not None:
            return self._confirm(self._pending, bar, hours)
        if not is_inside(self._mode, mother, bar, strict=self._strict):
            return None
        return self._judge(mother, bar, hours)

    def _judge(self, mother: SignalBar, bar: SignalBar, hours: SessionHours | None) -> Found:
        windows = () if hours is None else self._windows.of(hours)
        window = _around(bar.start_ns, windows)
        if hours is None or window is None:
            return Reject(bar.start_ns, Reason.OUT_OF_SESSION)
        key = (window.day, window.ordinal)
        if key != self._key:
            self._key, self._stage, self._setups = key, _WAITING, 0
        if self._stage is _Stage.DONE:
            return None
        reason = self._unfit(mother, bar, window)
        if reason is not None:
            return Reject(bar.start_ns, reason)
        setup = self._armed(mother, bar, hours)
        if isinstance(setup, Reason):
            self._stage = _Stage.DONE
            return Reject(bar.start_ns, setup)
        self._setups += 1
        if self._setups >= self._rules.max_trades_per_session:
            self._stage = _Stage.SPENT
        if self._rules.entry_trigger == "close_confirm":
            self._pending = setup
        return setup

    def _armed(self, mother: SignalBar, bar: SignalBar, hours: SessionHours) -> Setup | Reason:
        # Whatever comes of it, the levels of its window are those of this pattern.
        if self._stage is _Stage.SPENT:
            return Reason.MAX_TRADES_REACHED
        levels = levels_of(self._rules, mother, bar)
        if levels is None:
            return Reason.NON_POSITIVE_RISK
        signal_ns = min(bar.start_ns + self._rules.bar_ns, hours.segment_close_ns)
        validity = validity_of(self._rules, signal_ns, self._windows.of(hours))
        if validity is None:
            return Reason.INVALID_VALIDITY_WINDOW
        valid_from, valid_to, window = validity
        if self._rules.trigger_must_be_within_session and valid_to > window.close_ns:
            return Reason.TRIGGER_OUTSIDE_SESSION
        atr = self._mother_range()
        return Setup(mother.start_ns, bar.start_ns, signal_ns, valid_from, valid_to, self._key, *levels, atr)

    def _unfit(self, mother: SignalBar, bar: SignalBar, window: Window) -> Reason | None:
        rules = self._rules
        if not window.open_ns <= mother.start_ns < window.close_ns:
            return Reason.MOTHER_BAR_OUTSIDE_SESSION
        if bar.start_ns - mother.start_ns != rules.bar_ns:
            return Reason.NON_CONSECUTIVE_BARS
        if self._bars < rules.required_warmup_bars:
            return Reason.WARMUP
        if rules.min_mother_bar_size > 0.0:
            atr = self._mother_range()
            if atr != atr:
                return Reason.WARMUP
            if not (atr > 0.0 and reaches((mother.high - mother.low) / atr, rules.min_mother_bar_size)):
                return Reason.MOTHER_BAR_TOO_SMALL
        if not reaches(body_fraction(mother), rules.min_mother_body_fraction):
            return Reason.MB_BODY_FRACTION
        if not reaches(body_fraction(bar), rules.min_inside_body_fraction):
            return Reason.IB_BODY_FRACTION
        return None

    def _mother_range(self) -> float:
        period = self._rules.atr_period
        return average_true_range(list(self._ranges)[:period]) if len(self._ranges) > period else _NAN

    def _confirm(self, setup: Setup, bar: SignalBar, hours: SessionHours | None) -> Found:
        leg = next((leg for leg in setup.legs() if (bar.close - self._rules.price(leg.entry)) * leg.sign > 0.0), None)
        if bar.start_ns < setup.valid_from_ns or leg is None:
            return None
        self._pending = None
        entry_ns = bar.start_ns + self._rules.bar_ns
        is_open = hours is not None and entry_ns < hours.segment_close_ns
        in_window = hours is not None and _around(entry_ns, self._windows.of(hours)) is not None
        if not is_open or (self._rules.trigger_must_be_within_session and not in_window):
            self._stage = _Stage.DONE
            return Reject(bar.start_ns, Reason.TRIGGER_OUTSIDE_SESSION)
        return Confirmation(setup, leg)

    @property
    def last_range(self) -> float:
        """Average true range at the last bar, in currency; NaN if it is not known."""
        period = self._rules.atr_period
        return average_true_range(list(self._ranges)[-period:]) if len(self._ranges) >= period else _NAN

    def rescale(self, factor: float) -> None:
        """Multiply the prices that are remembered, after a split: the next bars are in new prices."""
        self._ranges = deque((length * factor for length in self._ranges), maxlen=self._ranges.maxlen)
        if self._last is not None:
            self._last = SignalBar(self._last.start_ns, *(price * factor for price in self._last[1:]))

    def save(self) -> dict[str, Any]:
        """Return what it knows, as JSON-able values."""
        pending = self._pending
        return {
            "ranges": list(self._ranges),
            "last": None if self._last is None else list(self._last),
            "bars": self._bars,
            "key": list(self._key),
            "stage": self._stage.value,
            "setups": self._setups,
            "pending": None if pending is None else save_setup(pending),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `save` returned."""
        self._ranges = deque(state["ranges"], maxlen=self._rules.atr_period + 1)
        self._last = None if state["last"] is None else SignalBar(*state["last"])
        self._bars, self._setups = state["bars"], state["setups"]
        self._key, self._stage = tuple(state["key"]), _Stage(state["stage"])
        self._pending = None if state["pending"] is None else load_setup(state["pending"])


def save_setup(setup: Setup) -> dict[str, Any]:
    """Return a setup as JSON-able values."""
    values = asdict(setup)
    atr = None if setup.atr != setup.atr else setup.atr
    return values | {"window": list(setup.window), "long": list(setup.long), "short": list(setup.short), "atr": atr}


def load_setup(values: Mapping[str, Any]) -> Setup:
    """Return the setup that `save_setup` returned."""
    long, short = Leg(*values["long"]), Leg(*values["short"])
    atr = _NAN if values["atr"] is None else values["atr"]
    return Setup(**{**values, "window": tuple(values["window"]), "long": long, "short": short, "atr": atr})


def _around(instant_ns: int, windows: tuple[Window, ...]) -> Window | None:
    for window in windows:
        if window.open_ns <= instant_ns < window.close_ns:
            return window
    return None
