"""What the `decide` of a kernel strategy returns: nothing, or a target with or without exits.

A decision is four numbers: what kind, how much, and the prices of a protective stop and of a target, NaN for none. The
functions run as Python and as machine code.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Decision: TypeAlias = tuple[float, float, float, float]
"""Kind, amount, stop loss, take profit."""

NO_PRICE: Final = float("nan")
NOTHING: Final = 0.0
POSITION: Final = 1.0
WEIGHT: Final = 2.0

HOLD: Final[Decision] = (0.0, 0.0, float("nan"), float("nan"))
"""Leave everything as it is."""


def target_position(units: float, stop_loss: float = NO_PRICE, take_profit: float = NO_PRICE) -> Decision:
    """Want a signed position, as `OrderIntent.target_position` does.

    Parameters
    ----------
    units : float
        Signed units; 0 to be flat.
    stop_loss, take_profit : float
        Prices of the exits of a bracket, in currency; see `OrderIntent.with_exits`.
    """
    return POSITION, float(units), stop_loss, take_profit


def target_weight(weight: float, stop_loss: float = NO_PRICE, take_profit: float = NO_PRICE) -> Decision:
    """Want a signed share of equity, as `OrderIntent.target_weight` does; see `target_position`."""
    return WEIGHT, float(weight), stop_loss, take_profit
