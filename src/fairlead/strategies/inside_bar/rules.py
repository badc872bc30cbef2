"""The rules of the pattern as pure functions: geometry, ranges, levels, validity, trailing (domain rules 6.2-6.6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from fairlead.core import grid
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.strategies.inside_bar.windows import Window

DefinitionMode = Literal[
    "mb_range_hl__ib_hl", "mb_body_oc__ib_hl", "mb_body_oc__ib_body", "mb_high__ib_high_and_close_in_mb_range"
]
DEFINITION_MODES: Final = (
    "mb_range_hl__ib_hl",
    "mb_body_oc__ib_hl",
    "mb_body_oc__ib_body",
    "mb_high__ib_high_and_close_in_mb_range",
)
TIMEFRAMES: Final = {1: BarSize.M1, 5: BarSize.M5, 15: BarSize.M15, 30: BarSize.M30, 60: BarSize.H1}
"""Bar sizes that the pattern can be looked for in, by their minutes."""


class SignalBar(NamedTuple):
    """A bar of the signal's size, labelled by its start; prices in currency."""

    start_ns: int
    open: float
    high: float
    low: float
    close: float


class Leg(NamedTuple):
    """One side of a setup, in whole ticks: where it enters, where it gives up, and where it is done."""

    entry: int
    stop: int
    target: int

    @property
    def sign(self) -> int:
        """+1 for the long side, -1 for the short side."""
        return 1 if self.entry > self.stop else -1

    @property
    def risk(self) -> int:
        """Ticks from the entry to the stop."""
        return abs(self.entry - self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideBarRules:
    """The parameters of the pattern; see `InsideBar` for their meaning."""

    timeframe_minutes: int
    session_timezone: str
    session_windows: tuple[str, ...]
    inside_bar_definition_mode: str
    inside_bar_mode: str
    atr_period: int
    min_mother_bar_size: float
    min_mother_body_fraction: float
    min_inside_body_fraction: float
    entry_level_mode: str
    entry_trigger: str
    risk_reward_ratio: float
    stop_distance_cap_ticks: int
    tick_size: float
    order_validity_policy: str
    order_validity_minutes: int
    valid_from_policy: str
    max_trades_per_session: int
    netting_mode: str
    trigger_must_be_within_session: bool
    trailing_enabled: bool
    trailing_trigger_tp_frac: float
    trailing_risk_remaining_frac: float
    lookback_candles: int
    max_pattern_age_candles: int
    max_deviation_atr: float
    required_warmup_bars: int

    @property
    def bar_ns(self) -> int:
        """Length of a signal bar, in nanoseconds."""
        return self.timeframe_minutes * NS_PER_MINUTE

    def price(self, ticks: int) -> float:
        """Return the price of so many ticks, in currency."""
        return grid.on_grid(ticks, self.tick_size)

    def exact_price(self, ticks: int) -> Decimal:
        """Return the price of so many ticks as it leaves the house."""
        return ticks * Decimal(repr(self.tick_size))


def is_inside(mode: str, mother: SignalBar, inside: SignalBar, *, strict: bool) -> bool:
    """Whether a bar lies inside the one before it, by one of the four definitions.

    Parameters
    ----------
    strict : bool
        Touching a bound is not inside.
    """
    if mode == "mb_range_hl__ib_hl":
        low, high, top, bottom = inside.low, inside.high, mother.high, mother.low
    elif mode == "mb_body_oc__ib_hl":
        low, high = inside.low, inside.high
        bottom, top = body_of(mother)
    elif mode == "mb_body_oc__ib_body":
        low, high = body_of(inside)
        bottom, top = body_of(mother)
    else:
        close = inside.close
        if strict:
            return inside.high < mother.high and mother.low < close < mother.high
        return inside.high <= mother.high and mother.low <= close <= mother.high
    return high < top and low > bottom if strict else high <= top and low >= bottom


def body_of(bar: SignalBar) -> tuple[float, float]:
    """Return the lower and the upper end of a bar's body."""
    return (bar.open, bar.close) if bar.open <= bar.close else (bar.close, bar.open)


def body_fraction(bar: SignalBar) -> float:
    """Return body over range; 0.0 without a range."""
    length = bar.high - bar.low
    return abs(bar.close - bar.open) / length if length > 0.0 else 0.0


def reaches(measured: float, least: float) -> bool:
    """Whether a ratio of prices is at least so much; the last digits of a difference of prices decide nothing."""
    return measured >= least - grid.GRID_TOLERANCE


def true_range(bar: SignalBar, close_before: float) -> float:
    """Return the range of a bar with the way from the last close, in currency."""
    return max(bar.high - bar.low, abs(bar.high - close_before), abs(bar.low - close_before))


def average_true_range(ranges: Sequence[float]) -> float:
    """Return the simple mean of true ranges, oldest first. The feature ``atr`` is Wilder's average, which is another number."""
    return math.fsum(ranges) / len(ranges)


def levels_of(rules: InsideBarRules, mother: SignalBar, inside: SignalBar) -> tuple[Leg, Leg] | None:
    """Return the long and the short side of a setup; None if one of them risks nothing, or aims at nothing above 0.

    Off the grid, entries and targets are rounded away from the market and stops away from their entry (domain rule 1.3).
    """
    source = mother if rules.entry_level_mode == "mother_bar" else inside
    top, bottom = _ticks_up(source.high, rules.tick_size), _ticks_down(source.low, rules.tick_size)
    legs = []
    for sign, entry, stop in (
        (1, top, _ticks_down(mother.low, rules.tick_size)),
        (-1, bottom, _ticks_up(mother.high, rules.tick_size)),
    ):
        risk = (entry - stop) * sign
        if risk <= 0:
            return None
        kept = min(risk, rules.stop_distance_cap_ticks)
        # A target between two ticks lies on the farther one; the last digit of a product is no tick.
        reward = -grid.steps_down(-rules.risk_reward_ratio * kept)
        legs.append(Leg(entry, entry - sign * kept, entry + sign * int(reward)))
    long, short = legs
    return (long, short) if short.target > 0 and long.stop > 0 else None


def _ticks_down(price: float, tick: float) -> int:
    return int(grid.steps_down(price / tick))


def _ticks_up(price: float, tick: float) -> int:
    return -int(grid.steps_down(-price / tick))


def validity_of(rules: InsideBarRules, signal_ns: int, windows: Sequence[Window]) -> tuple[int, int, Window] | None:
    """Return from when and until when orders of a setup are valid, half-open, and the window; None if never."""
    start = signal_ns if rules.valid_from_policy == "signal_ts" else signal_ns + rules.bar_ns
    window = next((window for window in windows if window.open_ns <= start < window.close_ns), None)
    if window is None:
        return None
    if rules.order_validity_policy == "session_end":
        end = window.close_ns
    elif rules.order_validity_policy == "fixed_minutes":
        end = min(start + rules.order_validity_minutes * NS_PER_MINUTE, window.close_ns)
    else:
        end = start + rules.bar_ns
    return (start, end, window) if end > start else None


def trailed_stop(rules: InsideBarRules, leg: Leg, best: float) -> int | None:
    """Return the stop that a position has once the best price has come far enough, in ticks; None before.

    Parameters
    ----------
    best : float
        Highest price since the entry of a long position, lowest of a short one, in currency.
    """
    sign = leg.sign
    reached = rules.price(leg.entry) + rules.trailing_trigger_tp_frac * (rules.price(leg.target) - rules.price(leg.entry))
    # A price on the level has reached it, whatever the last bit of the product says.
    if (best - reached) * sign < -grid.GRID_TOLERANCE * reached:
        return None
    kept = -grid.steps_down(-rules.trailing_risk_remaining_frac * leg.risk)
    moved = leg.entry - sign * int(kept)
    return moved if (moved - leg.stop) * sign > 0 else None
