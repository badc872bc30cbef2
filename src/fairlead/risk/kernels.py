"""Sizing and pre-trade checks as pure functions of numbers: `sizing` and `pretrade` call them, compiled loops inline them."""

from __future__ import annotations

import math
from typing import Final

from fairlead.core.grid import floor_quantity

LEAST_LOT: Final = 1e-6
"""Of a lot: less is the rounding of a position and the orders on their way to close it, not something to trade."""
ROUNDING: Final = 1e-9
"""A limit is not breached by the last bit of a sum of floats."""
_LAST_BITS: Final = 4.5e-16
NO_LIMIT: Final = float("nan")

ACCEPTED: Final = 0
NOT_SHORTABLE: Final = 1
NO_EQUITY: Final = 2
POSITION_SIZE: Final = 3
BUYING_POWER: Final = 4


def units_for(notional: float, price: float, multiplier: float, lot_step: float) -> float:
    """Return the largest quantity on the lot grid that |notional| pays for at `price`, in units."""
    return floor_quantity(abs(notional) / (price * multiplier), lot_step)


def weight_in_units(weight: float, equity: float, price: float, multiplier: float, lot_step: float) -> float:
    """Return the signed units of a share of equity; without equity there are none."""
    return math.copysign(units_for(weight * max(equity, 0.0), price, multiplier, lot_step), weight)


def clipped(target: float, cap: float) -> float:
    """Return a signed target of at most `cap` units; NaN for no cap."""
    return math.copysign(cap, target) if abs(target) > cap else target


def change_to(target: float, held: float, lot_step: float, min_quantity: float) -> float:
    """Return the signed units that lead from `held` to `target`; 0.0 if they are too few to trade.

    Parameters
    ----------
    held : float
        Signed units held, market orders under way included.
    """
    change = target - held
    if target != 0.0:
        # Closing may sell an odd remainder (after a split, say); everything else stays on the grid. The difference of two large
        # positions has the rounding of both, which must not cost it a lot.
        rounding = (abs(target) + abs(held)) * _LAST_BITS
        change = math.copysign(floor_quantity(abs(change) + rounding, lot_step), change)
        return 0.0 if abs(change) < min_quantity else change
    return 0.0 if abs(change) < lot_step * LEAST_LOT else change


def tradable(units: float, min_quantity: float) -> bool:
    """Whether |units| are enough to trade: raising an order to the minimum would break the budget it was computed from."""
    return units >= min_quantity


def worst_units(held: float, buys: float, sells: float) -> float:
    """Return the most |units| that can come of a position and of what rests: all buys and no sells, or the reverse."""
    return max(abs(held + buys), max(abs(held - sells), abs(held)))  # noqa: PLW3301  compiled code takes two at a time


def only_reduces(held: float, signed_quantity: float) -> bool:
    """Whether an order only lowers |position|, without crossing zero."""
    return held != 0.0 and (held > 0) != (signed_quantity > 0) and abs(signed_quantity) <= abs(held) * (1 + ROUNDING)


def is_short(units: float, lot_step: float) -> bool:
    """Whether signed units are a short position, and not the rounding of none."""
    return units < -lot_step * LEAST_LOT


def check_limits(equity: float, value: float, gross: float, max_size: float, max_leverage: float) -> tuple[int, float, float]:
    """Return (code, measured, limit) of an order that can open or enlarge a position; `ACCEPTED` with NaN if it may leave.

    Parameters
    ----------
    equity : float
        In currency.
    value, gross : float
        Worst exposure of the symbol and of the account with the order, in currency.
    max_size : float
        Largest share of equity in one symbol; NaN for no limit.
    max_leverage : float
        Largest gross exposure as a multiple of equity.
    """
    if not equity > 0:
        return NO_EQUITY, -equity, 0.0
    if value > max_size * equity * (1 + ROUNDING):
        return POSITION_SIZE, value, max_size * equity
    if gross > max_leverage * equity * (1 + ROUNDING):
        return BUYING_POWER, gross, max_leverage * equity
    return ACCEPTED, NO_LIMIT, NO_LIMIT
