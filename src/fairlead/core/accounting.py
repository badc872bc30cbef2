"""What an execution does to a position, as pure functions of numbers (domain rule 6.14): average cost, realised profit, dust.

The ledger calls them as they stand, and compiled loops inline them.
"""

from __future__ import annotations

from typing import Final

# Sums of fractional lots leave dust near 1e-16 of the largest number in them; no lot grid is this fine.
DUST: Final = 1e-12
_ROUNDING: Final = 1e-13


def is_dust(quantity: float, largest: float) -> bool:
    """Whether `quantity` is nothing but the rounding of sums in which the position was up to `largest` units."""
    size = abs(quantity)
    return size < DUST or size <= largest * _ROUNDING


def execute(
    held: float, average: float, largest: float, signed_quantity: float, price: float, multiplier: float
) -> tuple[float, float, float, float]:
    """Return what a position is after an execution: (units, average cost, largest, realised profit).

    Parameters
    ----------
    held, signed_quantity : float
        Signed units before, and traded.
    average : float
        Average cost per unit, in currency; 0.0 when flat.
    largest : float
        The most |units| since the position was flat; what tells dust from a small position.
    price : float
        Paid or received, in currency.
    multiplier : float
        Currency value of one unit at price 1.

    Notes
    -----
    Crossing zero closes fully, then opens the rest at `price`.
    """
    after = held + signed_quantity
    # Compared by hand: three calls of `max` would be half of what an execution costs.
    size, traded, most = abs(held), abs(signed_quantity), abs(after)
    if size > most:  # noqa: PLR1730
        most = size
    if largest > most:  # noqa: PLR1730
        most = largest
    if is_dust(after, most):
        after = most = 0.0
    realised = 0.0
    cost = average
    if held == 0.0 or (held > 0) == (signed_quantity > 0):
        cost = (average * size + price * traded) / abs(held + signed_quantity)
    else:
        closed = size if size < traded else traded  # noqa: FURB136
        sign = 1.0 if held > 0 else -1.0
        realised = (price - average) * closed * multiplier * sign
        if after == 0.0:
            cost = 0.0
        elif (after > 0) != (held > 0):
            cost = price
    return after, cost, most, realised
