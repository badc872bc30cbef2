"""Sizing of intents: the quantity that a weight, an amount of money or a target asks for, with the arithmetic of `kernels`."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from fairlead.core.errors import ContractError
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import AmountKind
from fairlead.risk import kernels
from fairlead.sdk.limits import RiskLimits

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_QUANTITY: Final = AmountKind.QUANTITY
_NOTIONAL: Final = AmountKind.NOTIONAL
_TARGET_WEIGHT: Final = AmountKind.TARGET_WEIGHT


class Sized(NamedTuple):
    """A signed quantity on the lot grid, and what was done to get it."""

    quantity: float
    """Signed units; 0.0 if nothing is to be traded."""
    note: str = ""
    """Empty, ``clipped_max_position_size`` or ``below_min_qty``."""


def units_for(notional: float, price: float, instrument: Instrument) -> float:
    """Return the largest quantity on the lot grid that `notional` pays for at `price`.

    Parameters
    ----------
    notional : float
        Currency; its sign is ignored.
    price : float
        Currency per unit at multiplier 1.
    """
    _check_money(notional, price, instrument)
    return kernels.units_for(notional, price, instrument.multiplier, instrument.lot_step)


def size_intent(
    intent: OrderIntent, instrument: Instrument, *, price: float, equity: float, held: float, limits: RiskLimits
) -> Sized:
    """Return the signed quantity that `intent` asks for.

    Parameters
    ----------
    price : float
        Last known price, in currency.
    equity : float
        Of the strategy, in currency.
    held : float
        Signed units held, market orders under way included: a target is not chased twice.
    limits : RiskLimits
        Targets are clipped to `max_position_size`; explicit quantities are left to the checks that reject.
    """
    kind = intent.amount_kind
    if kind is _QUANTITY:
        return at_least_minimum(math.copysign(instrument.floor_quantity(intent.amount), intent.amount), instrument)
    if kind is _NOTIONAL:
        return at_least_minimum(math.copysign(units_for(intent.amount, price, instrument), intent.amount), instrument)
    cap = kernels.NO_LIMIT
    if kind is _TARGET_WEIGHT:
        _check_money(intent.amount * max(equity, 0.0), price, instrument)
        target = kernels.weight_in_units(intent.amount, equity, price, instrument.multiplier, instrument.lot_step)
    else:
        target = math.copysign(instrument.floor_quantity(intent.amount), intent.amount)
    if limits.max_position_size is not None:
        cap = units_for(limits.max_position_size * max(equity, 0.0), price, instrument)
    allowed = kernels.clipped(target, cap)
    change = kernels.change_to(allowed, held, instrument.lot_step, instrument.min_quantity)
    return Sized(change, "clipped_max_position_size" if allowed != target else "")


def _check_money(notional: float, price: float, instrument: Instrument) -> None:
    if not (math.isfinite(notional) and price > 0):
        raise ContractError.of(f"{instrument.symbol} sizing", "have a finite notional and a price above 0", (notional, price))


def at_least_minimum(quantity: float, instrument: Instrument) -> Sized:
    """Return `quantity`, or 0.0 with ``below_min_qty`` if it is too small to trade."""
    # Raising a too small order to the minimum would break the budget it was computed from.
    return Sized(quantity) if abs(quantity) >= instrument.min_quantity else Sized(0.0, "below_min_qty")
