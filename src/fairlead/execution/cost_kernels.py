"""Costs as pure functions of numbers (domain rules 6.9, 6.13): the models call them, and compiled loops inline them.

Prices are in currency, quantities unsigned units; a fraction is of price.
"""

from __future__ import annotations

from typing import Final

BPS: Final = 1e4
"""Basis points in 1."""


def volume_slippage(base_bps: float, volume_factor: float, quantity: float, bar_volume: float) -> float:
    """Return a base cost plus a share of the order's part of the bar's volume, which is above 0; a fraction."""
    return base_bps / BPS + volume_factor * quantity / bar_volume


def slipped(side: int, price: float, fraction: float) -> float:
    """Return what is paid (`side` +1) or received (-1) where the ideal price is `price`: never less than nothing."""
    return price * (1.0 + fraction) if side > 0 else price * max(0.0, 1.0 - fraction)


def bps_commission(bps: float, quantity: float, price: float, multiplier: float) -> float:
    """Return a share of the traded value, in currency."""
    return quantity * price * multiplier * (bps / BPS)


def per_share_commission(
    per_share: float,
    minimum: float,
    max_frac: float,
    quantity: float,
    price: float,
    multiplier: float,
    filled_before: float,
    charged_before: float,
) -> float:
    """Return so much a unit with a minimum per order, and at most `max_frac` of the execution's value, in currency."""
    due = max(minimum, per_share * (filled_before + quantity)) - charged_before
    return min(max(0.0, due), quantity * price * multiplier * max_frac)


def per_order_commission(amount: float, filled_before: float) -> float:
    """Return one charge per order, at its first execution, in currency."""
    return amount if filled_before == 0.0 else 0.0
