"""Sizing of intents: the quantity that a weight, an amount of money or a target asks for, with the arithmetic of `kernels`."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from fairlead.core.errors import ContractError
from fairlead.core.grid import floor_quantity
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
    kind, amount = intent.amount_kind, intent.amount
    if kind is _QUANTITY or kind is _NOTIONAL:
        quantity = _explicit(kind, amount, instrument, price)
        return Sized(quantity) if quantity else Sized(0.0, "below_min_qty")
    target = _target(kind, amount, instrument, price, equity)
    allowed = (
        target if limits.max_position_size is None else _capped(target, instrument, price, equity, limits.max_position_size)
    )
    change = kernels.change_to(allowed, held, instrument.lot_step, instrument.min_quantity)
    return Sized(change, "clipped_max_position_size" if allowed != target else "")


def market_units(
    kind: AmountKind,
    amount: float,
    instrument: Instrument,
    price: float,
    equity: float,
    held: float,
    max_position_size: float | None,
) -> float:
    """Return the quantity of `size_intent` alone, 0.0 if nothing is to be traded: for who needs no note."""
    if kind is _QUANTITY or kind is _NOTIONAL:
        return _explicit(kind, amount, instrument, price)
    target = _target(kind, amount, instrument, price, equity)
    if max_position_size is not None:
        target = _capped(target, instrument, price, equity, max_position_size)
    return kernels.change_to(target, held, instrument.lot_step, instrument.min_quantity)


def _explicit(kind: AmountKind, amount: float, instrument: Instrument, price: float) -> float:
    units = floor_quantity(amount, instrument.lot_step) if kind is _QUANTITY else units_for(amount, price, instrument)
    return math.copysign(units, amount) if kernels.tradable(units, instrument.min_quantity) else 0.0


def _target(kind: AmountKind, amount: float, instrument: Instrument, price: float, equity: float) -> float:
    if kind is AmountKind.SIZED:
        raise ContractError.of(f"{instrument.symbol} {kind}", "be sized by the session's rule", amount)
    if kind is _TARGET_WEIGHT:
        _check_money(amount * max(equity, 0.0), price, instrument)
        return kernels.weight_in_units(amount, equity, price, instrument.multiplier, instrument.lot_step)
    return math.copysign(floor_quantity(amount, instrument.lot_step), amount)


def _capped(target: float, instrument: Instrument, price: float, equity: float, max_position_size: float) -> float:
    return kernels.clipped(target, units_for(max_position_size * max(equity, 0.0), price, instrument))


def _check_money(notional: float, price: float, instrument: Instrument) -> None:
    if not (math.isfinite(notional) and price > 0):
        raise ContractError.of(f"{instrument.symbol} sizing", "have a finite notional and a price above 0", (notional, price))


def at_least_minimum(quantity: float, instrument: Instrument) -> Sized:
    """Return `quantity`, or 0.0 with ``below_min_qty`` if it is too small to trade."""
    return Sized(quantity) if kernels.tradable(abs(quantity), instrument.min_quantity) else Sized(0.0, "below_min_qty")
