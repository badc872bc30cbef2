"""Fill rules as pure functions of numbers: at which price, if any, and when inside a bar an order fills.

They are the only statement of these rules (domain 6.8 R2, R3, R5-R7): the event loop calls them as they stand, and since they
use nothing but float64 and integers, compiled loops inline the same functions. Every rule is pessimistic by default and gives
the price before slippage. A price of NaN is no fill. `side` is +1 for a buy and -1 for a sell; prices are in currency.
"""

# ruff: noqa: FBT001, PLR0917, PLR1714  compiled code has no keyword arguments, and no `in` of things that are no constants

from __future__ import annotations

from typing import Final

OPEN: Final = 0
"""Phase of a bar; earlier phases consume liquidity first."""
STOP: Final = 1
"""Stops come before limits: if a stop and a target lie in one bar, the loss is taken."""
LIMIT: Final = 2
CLOSE: Final = 3

NO_FILL: Final = float("nan")


def limit_in_bar(side: int, limit: float, open_: float, high: float, low: float, on_touch: bool) -> tuple[float, int]:
    """Return (price, phase) of a limit order: at the limit, or at the open when the bar opens beyond it.

    Parameters
    ----------
    on_touch : bool
        Whether a price equal to the limit fills; otherwise it must trade through.
    """
    if side > 0:
        if open_ < limit or (on_touch and open_ == limit):
            return open_, OPEN
        if low < limit or (on_touch and low == limit):
            return limit, LIMIT
    else:
        if open_ > limit or (on_touch and open_ == limit):
            return open_, OPEN
        if high > limit or (on_touch and high == limit):
            return limit, LIMIT
    return NO_FILL, LIMIT


def stop_in_bar(side: int, stop: float, open_: float, high: float, low: float) -> tuple[float, int]:
    """Return (price, phase) of a stop order: at the stop, or at the open when the bar gaps beyond it."""
    if side > 0:
        if open_ >= stop:
            return open_, OPEN
        if high >= stop:
            return stop, STOP
    else:
        if open_ <= stop:
            return open_, OPEN
        if low <= stop:
            return stop, STOP
    return NO_FILL, STOP


def stop_limit_in_bar(
    side: int, stop: float, limit: float, open_: float, high: float, low: float, on_touch: bool
) -> tuple[float, int, bool]:
    """Return (price, phase, triggered) of a stop-limit order that was not triggered before this bar.

    Inside the triggering bar the path is unknown: only an open between stop and limit is a certain fill.
    """
    price, phase = stop_in_bar(side, stop, open_, high, low)
    if price != price:
        return NO_FILL, LIMIT, False
    between = stop <= open_ <= limit if side > 0 else limit <= open_ <= stop
    if not between:
        return NO_FILL, LIMIT, True
    price, phase = limit_in_bar(side, limit, open_, high, low, on_touch)
    return price, phase, True


def limit_from(
    side: int, limit: float, at: float, extreme: float, close: float, certain: bool, on_touch: bool
) -> tuple[float, bool]:
    """Return (price, at once) of a limit order that comes to life inside a bar, where the price is `at`.

    Parameters
    ----------
    extreme : float
        The bar's low for a buy, its high for a sell.
    certain : bool
        Whether the extreme can only have come after `at`. If not, it may be a price that was already seen, and only the
        close is known to come later.
    """
    if (at - limit) * side <= 0.0:
        return at, True
    reached = extreme if certain else close
    if (limit - reached) * side > 0.0 or (on_touch and reached == limit):
        return limit, False
    return NO_FILL, False


def stop_from(side: int, stop: float, at: float, extreme: float) -> tuple[float, bool]:
    """Return (price, at once) of a stop order that comes to life inside a bar, where the price is `at`.

    Parameters
    ----------
    extreme : float
        The bar's high for a buy, its low for a sell. It is taken to come after `at`, which is the worse.
    """
    if (at - stop) * side >= 0.0:
        return at, True
    if (extreme - stop) * side >= 0.0:
        return stop, False
    return NO_FILL, False


def moved_by(side: int, is_limit: bool, phase: int) -> int:
    """Return which way the price was going at a fill: +1 up, -1 down, 0 if nothing of the bar came before it."""
    if phase == OPEN:
        return 0
    # A buy stop is reached on the way up, a buy limit on the way down.
    return -side if is_limit else side


def limit_after(
    side: int, limit: float, at: float, phase: int, moved: int, high: float, low: float, close: float, on_touch: bool
) -> tuple[float, int]:
    """Return (price, phase) of a limit order that comes to life at a fill inside a bar.

    Parameters
    ----------
    at : float
        The price of that fill.
    phase, moved : int
        Its phase, and which way the price was going; see `moved_by`.
    """
    extreme = low if side > 0 else high
    if phase == CLOSE and at == close:
        extreme = close  # nothing of the bar comes after its close
    # A buy needs a low that comes later: after the open all of the bar does; after a way down, what lies lower.
    certain = (moved == 0 or moved == -side) and phase != CLOSE
    price, at_once = limit_from(side, limit, at, extreme, close, certain, on_touch)
    return price, phase if at_once else max(LIMIT, phase)


def stop_after(side: int, stop: float, at: float, phase: int, high: float, low: float, close: float) -> tuple[float, int]:
    """Return (price, phase) of a stop order that comes to life at a fill inside a bar; see `limit_after`."""
    extreme = high if side > 0 else low
    if phase == CLOSE and at == close:
        extreme = close
    price, at_once = stop_from(side, stop, at, extreme)
    return price, phase if at_once else max(STOP, phase)


def late_in_bar(side: int, limit: float, stop: float, high: float, low: float, close: float) -> float:
    """Return the price of an order that arrives in the middle of a bar: only the close is known to come after it.

    Parameters
    ----------
    limit, stop : float
        NaN where the order has none.
    """
    if stop == stop and (close - stop) * side < 0.0:
        return NO_FILL
    if limit != limit:
        return close
    if (limit - close) * side <= 0.0:
        return NO_FILL
    # It was at or beyond the limit somewhere between arrival and close: never better than the limit, never outside the bar.
    return min(limit, high) if side > 0 else max(limit, low)


def distance_rank(price: float, open_: float) -> int:
    """Return how far from the open of its bar a price is, as a number to compare: of two the nearer was reached first.

    In billionths of the open, so that prices as many ticks above as below it are as near. A price of NaN is at the open.
    """
    if price != price:
        return 0
    return int(abs(price - open_) / open_ * 1e9 + 0.5)


def adaptive_in_bar(side: int, open_: float, high: float, low: float, close: float) -> float:
    """Return the price of an order that is worked over a bar: its typical price, never better than its open."""
    typical = (high + low + close) / 3.0
    return max(open_, typical) if side > 0 else min(open_, typical)


def trail_from(side: int, amount: float, percent: float, best: float) -> float:
    """Return the level of a trailing stop behind a best price: below it for a sell, above it for a buy.

    Parameters
    ----------
    amount, percent : float
        One of them; the other is NaN. Percent of `best`.
    """
    distance = best * percent / 100.0 if percent == percent else amount
    return best + distance if side > 0 else best - distance


def tighter(side: int, level: float, candidate: float) -> float:
    """Return the stop nearer to the price: a trailing stop never goes back."""
    if level != level:
        return candidate
    return min(level, candidate) if side > 0 else max(level, candidate)
