"""The grids of price and quantity as pure functions of numbers: the only statement of how Fairlead rounds.

They use nothing but float64 and integers, so that compiled loops inline the functions that `Instrument` calls.
"""

from __future__ import annotations

import math
from typing import Final

# A grid comparison must forgive the representation error of a decimal step such as 0.01, and nothing larger.
GRID_TOLERANCE: Final = 1e-9
QUOTIENT_ERROR: Final = 1e-15
_WHOLE: Final = 2.0**53
"""From here on every float64 is a whole number."""


def steps_down(steps: float) -> float:
    """Return the largest whole number of steps in `steps`, the representation error of a quotient forgiven."""
    # The error grows with the quotient: at 900,000.00 in cents it is past any fixed tolerance.
    forgiven = steps + GRID_TOLERANCE + abs(steps) * QUOTIENT_ERROR
    if _WHOLE <= abs(forgiven) < math.inf:
        # Compiled code has no integers that could hold it.
        return forgiven
    return math.floor(forgiven)


def on_grid(steps: float, step: float) -> float:
    """Return the value of so many steps."""
    # Dividing by the reciprocal keeps 0.01 grids exact in the last digit: 101 * 0.01 is 1.01 only that way.
    per_unit = round(1.0 / step)
    if per_unit >= 1 and abs(per_unit * step - 1.0) < GRID_TOLERANCE:
        return steps / per_unit
    return steps * step


def floor_quantity(quantity: float, lot_step: float) -> float:
    """Return |quantity| rounded down to the lot grid, in units; never negative."""
    size = abs(quantity)
    if lot_step == 1.0:
        return float(steps_down(size))
    return on_grid(steps_down(size / lot_step), lot_step)


def tick_at(price: float, tick_size: float) -> float:
    """Return the tick that applies at `price`, in currency; a `tick_size` of NaN stands for the US equity rule."""
    if tick_size == tick_size:
        return tick_size
    return 0.01 if price >= 1.0 else 0.0001


def floor_price(price: float, tick_size: float) -> float:
    """Return the highest price on the tick grid that is not above `price`."""
    tick = tick_at(price, tick_size)
    return on_grid(steps_down(price / tick), tick)


def ceil_price(price: float, tick_size: float) -> float:
    """Return the lowest price on the tick grid that is not below `price`."""
    tick = tick_at(price, tick_size)
    return on_grid(-steps_down(-price / tick), tick)
