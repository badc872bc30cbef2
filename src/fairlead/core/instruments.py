"""Instruments: what can be traded, and the grid its prices and quantities live on.

Everything that rounds asks the instrument.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final

from fairlead.core import grid
from fairlead.core.errors import ConfigurationError, ContractError

SYMBOL_PATTERN: Final = re.compile(r"^[A-Z0-9][A-Z0-9.\-]{0,19}$")
_BY_PRICE: Final = float("nan")


class AssetClass(StrEnum):
    """The kind of thing an instrument is."""

    EQUITY = "equity"
    ETF = "etf"
    FUTURE = "future"
    FX = "fx"
    CRYPTO = "crypto"
    OPTION = "option"


@lru_cache(maxsize=1 << 16)
def check_symbol(text: str) -> str:
    """Return `text` trimmed and in upper case.

    Raises
    ------
    ContractError
        If what remains is not a symbol (domain rule 1.2).
    """
    symbol = text.strip().upper()
    if not SYMBOL_PATTERN.match(symbol):
        raise ContractError.of("symbol", f"match {SYMBOL_PATTERN.pattern}", text)
    return symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable thing.

    Parameters
    ----------
    symbol : str
        Upper case, see `check_symbol`.
    tick_size : float, optional
        Price grid in currency. None means the US equity rule: 0.01 at or above 1.00, 0.0001 below.
    lot_step, min_quantity : float
        Quantity grid and smallest order, in units.
    multiplier : float
        Currency value of one unit at price 1 (1 for stock, 100 for a US equity option).
    """

    symbol: str
    asset_class: AssetClass = AssetClass.EQUITY
    calendar: str = "XNYS"
    currency: str = "USD"
    tick_size: float | None = None
    lot_step: float = 1.0
    min_quantity: float = 1.0
    multiplier: float = 1.0
    shortable: bool = True

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        for name in ("lot_step", "min_quantity", "multiplier"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError.of(name, "be a finite number above 0", value)
        if self.tick_size is not None and not (math.isfinite(self.tick_size) and self.tick_size > 0):
            raise ConfigurationError.of("tick_size", "be a finite number above 0", self.tick_size)

    @property
    def tick(self) -> float:
        """The tick size in currency, as `fairlead.core.grid` takes it: NaN for the US equity rule."""
        return _BY_PRICE if self.tick_size is None else self.tick_size

    def tick_at(self, price: float) -> float:
        """Return the tick size, in currency, that applies at `price`."""
        return grid.tick_at(price, self.tick)

    def floor_price(self, price: float) -> float:
        """Return the highest price on the tick grid that is not above `price`."""
        return grid.floor_price(price, self.tick)

    def ceil_price(self, price: float) -> float:
        """Return the lowest price on the tick grid that is not below `price`."""
        return grid.ceil_price(price, self.tick)

    def floor_quantity(self, quantity: float) -> float:
        """Return |quantity| rounded down to the lot grid; never negative."""
        return grid.floor_quantity(quantity, self.lot_step)

    def price_to_decimal(self, price: float) -> Decimal:
        """Return `price` as an exact multiple of the tick: the form that leaves the house."""
        tick = Decimal(repr(float(self.tick_at(price))))
        return round(price / float(tick)) * tick

    def quantity_to_decimal(self, quantity: float) -> Decimal:
        """Return `quantity` as an exact multiple of the lot step."""
        step = Decimal(repr(float(self.lot_step)))
        return (round(quantity / self.lot_step) * step).normalize() + Decimal(0)
