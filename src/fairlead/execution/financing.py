"""What holding costs: interest on cash and margin debt, and the fee for borrowing what is sold short.

Pure rules over plain numbers; nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, field_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ContractError
from fairlead.core.instruments import check_symbol

_PERCENT = 100.0


class FinancingSettings(Settings):
    """Rates of interest and of stock loans, and what can be borrowed. By default nothing is charged and all can be borrowed.

    Parameters
    ----------
    margin_rate_pct : float
        On negative cash, in percent a year.
    cash_rate_pct : float
        Paid on positive cash, in percent a year.
    borrow_rate_pct : float
        On the market value of shorts, in percent a year.
    borrow_rates_pct : mapping of str to float
        The same for single symbols.
    day_count : {360, 365}
        Days of a year of interest; each calendar day counts.
    not_borrowable : sequence of str
        Symbols that cannot be sold short.
    borrowable_units : mapping of str to float
        Most units that can be short, by symbol.
    """

    margin_rate_pct: float = Field(default=0.0, ge=0, le=100)
    cash_rate_pct: float = Field(default=0.0, ge=0, le=100)
    borrow_rate_pct: float = Field(default=0.0, ge=0, le=1000)
    borrow_rates_pct: dict[str, Annotated[float, Field(ge=0, le=1000)]] = Field(default_factory=dict)
    day_count: Literal[360, 365] = 360
    not_borrowable: tuple[str, ...] = ()
    borrowable_units: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)

    @field_validator("borrow_rates_pct", "borrowable_units")
    @classmethod
    def _by_symbol(cls, values: dict[str, float]) -> dict[str, float]:
        return {check_symbol(symbol): value for symbol, value in values.items()}

    @field_validator("not_borrowable")
    @classmethod
    def _symbols(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_symbol(symbol) for symbol in symbols)

    @property
    def charges(self) -> bool:
        """Whether any rate is above 0: if not, `accrue` need not be called."""
        rates = (self.margin_rate_pct, self.cash_rate_pct, self.borrow_rate_pct, *self.borrow_rates_pct.values())
        return any(rate > 0 for rate in rates)

    def borrow_rate_of(self, symbol: str) -> float:
        """Return the fee of a stock loan, in percent a year."""
        return self.borrow_rates_pct.get(symbol, self.borrow_rate_pct)


class Accrual(NamedTuple):
    """What a night, a weekend or a holiday does to cash, in currency."""

    interest: float
    """Positive if it is received."""
    borrow_fees: dict[str, float]
    """By symbol, sorted; 0 or less."""

    @property
    def total(self) -> float:
        """What is added to cash."""
        return self.interest + sum(self.borrow_fees.values())


def accrue(cash: float, values: Mapping[str, float], days: int, settings: FinancingSettings) -> Accrual:
    """Return the interest and the loan fees of the days between two session closes.

    Parameters
    ----------
    cash : float
        At the earlier close, proceeds of short sales included, as the ledger keeps it.
    values : mapping of str to float
        Signed market values of the positions at the earlier close, in currency.
    days : int
        Calendar days from the one session's date to the next: 3 over a weekend.
    settings : FinancingSettings

    Raises
    ------
    ContractError
        If `days` is negative.

    Notes
    -----
    Proceeds of short sales are collateral for the loan of the shares: they neither bear interest nor reduce the debt of the
    longs. The base of the interest is therefore cash less the market value of the shorts.
    """
    if days < 0:
        raise ContractError.of("days", "be 0 or more", days)
    shorts = {symbol: -values[symbol] for symbol in sorted(values) if values[symbol] < 0}
    years = days / settings.day_count
    base = cash - sum(shorts.values())
    rate = settings.cash_rate_pct if base > 0 else settings.margin_rate_pct
    fees = {symbol: -value * settings.borrow_rate_of(symbol) / _PERCENT * years for symbol, value in shorts.items()}
    return Accrual(base * rate / _PERCENT * years, fees)


def borrowable(symbol: str, short_units: float, settings: FinancingSettings) -> float:
    """Return how many more units of a symbol can be sold short.

    Parameters
    ----------
    short_units : float
        Units short already, and of working orders that would be; 0 or more.

    Returns
    -------
    float
        0 or more; infinite if nothing limits it.
    """
    if symbol in settings.not_borrowable:
        return 0.0
    return max(0.0, settings.borrowable_units.get(symbol, float("inf")) - short_units)
