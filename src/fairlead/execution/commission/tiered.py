"""A broker's price list: a rate per unit that falls with the month's volume, a minimum, a cap, and others' fees."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field, field_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import day_to_date
from fairlead.execution.commission.model import CommissionContext, CommissionModel

# A charge that equals the minimum but for the last bits of a sum is the minimum.
_ROUNDING: Final = 1e-9


class Tier(Settings):
    """A rate, and how far it reaches.

    Parameters
    ----------
    per_unit : float
        Currency per unit.
    up_to : float, optional
        Units of a calendar month up to which the rate holds; None for all that follow.
    """

    per_unit: float = Field(ge=0, le=100)
    up_to: float | None = Field(default=None, gt=0)


class Fee(Settings):
    """What someone other than the broker takes and the broker passes on.

    Parameters
    ----------
    name : str
    per : {'unit', 'value', 'commission'}
        What `rate` multiplies: units, traded value, or the broker's own charge.
    rate : float
    side : {'sell', 'both'}
        A short sale is a sale.
    cap : float, optional
        Most an order pays, in currency; not for a share of the commission.
    """

    name: str = Field(min_length=1)
    per: Literal["unit", "value", "commission"]
    rate: float = Field(ge=0, le=1)
    side: Literal["sell", "both"] = "both"
    cap: float | None = Field(default=None, ge=0)

    def due(self, units: float, value: float) -> float:
        """Return what an order of so many units and so much value owes, in currency."""
        due = self.rate * (units if self.per == "unit" else value)
        return due if self.cap is None else min(due, self.cap)


class TieredCommission(CommissionModel):
    """A rate per unit in tiers of the month's volume, with a minimum and a cap per order, plus fees.

    Parameters
    ----------
    tiers : sequence of Tier
        Each unit pays the rate of the tier it falls into: a new tier does not change what went before. The last reaches
        without end.
    minimum : float
        Least charge of an order before fees, in currency.
    max_frac : float
        Most an order may cost before fees as a fraction of its value; it overrides the minimum, as brokers do.
    fees : sequence of Fee
        Outside minimum and cap. Nothing is rounded to the cent: brokers round sums of a day, which one order does not know.

    Notes
    -----
    The month is the calendar month of the exchange session, and the volume that of the strategy alone: what another strategy of
    the account trades does not change this one's results, and no discount comes earlier than in the account.
    """

    needs_context: ClassVar[bool] = True

    tiers: tuple[Tier, ...] = Field(default=(Tier(per_unit=0.005),), min_length=1)
    minimum: float = Field(default=0.0, ge=0, le=1000)
    max_frac: float = Field(default=1.0, gt=0, le=1)
    fees: tuple[Fee, ...] = ()

    @field_validator("tiers")
    @classmethod
    def _rise(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        ends = [tier.up_to for tier in tiers]
        if ends[-1] is not None:
            raise ConfigurationError.of("up_to", "not be given in the last tier", ends[-1], "It reaches without end.")
        known = [end for end in ends[:-1] if end is not None]
        if len(known) != len(ends) - 1 or known != sorted(set(known)):
            raise ConfigurationError.of("up_to", "rise from tier to tier", ends[:-1])
        return tiers

    @field_validator("fees")
    @classmethod
    def _fit(cls, fees: tuple[Fee, ...]) -> tuple[Fee, ...]:
        for fee in fees:
            if fee.per == "commission" and fee.cap is not None:
                raise ConfigurationError.of(f"cap of {fee.name}", "not be given for a share of the commission", fee.cap)
        return fees

    def charge(self, quantity: float, price: float, multiplier: float, filled_before: float, charged_before: float) -> float:
        """Return the commission of a buy in a month without other orders, the price having been the same all the time."""
        before = filled_before * price * multiplier
        context = CommissionContext(quantity, price, multiplier, filled_before, charged_before, 1, before, filled_before)
        return self.charge_in(context)

    def charge_in(self, trade: CommissionContext) -> float:
        """Return what the order owes in all after this execution, less what it has been charged."""
        units, value = (
            trade.filled_before + trade.quantity,
            trade.value_before + trade.quantity * trade.price * trade.multiplier,
        )
        fees = [fee for fee in self.fees if fee.side == "both" or trade.side < 0]
        surcharge = 1.0 + sum(fee.rate for fee in fees if fee.per == "commission")
        flat = [fee for fee in fees if fee.per != "commission"]
        passed_on = sum(fee.due(trade.filled_before, trade.value_before) for fee in flat)
        paid = max(0.0, (trade.charged_before - passed_on) / surcharge)
        due = min(max(self.minimum, self._accrued(trade, paid)), self.max_frac * value)
        added = sum(fee.due(units, value) for fee in flat) - passed_on
        return max(0.0, due - paid) * surcharge + added

    def _accrued(self, trade: CommissionContext, paid: float) -> float:
        # What the order's units have cost at their rates. Above the minimum it is what was paid, or more if the cap held some
        # back; below, other orders in between can have moved the units to a cheaper tier by less than the minimum.
        volume = trade.month_volume
        earlier = self._cost(volume) - self._cost(volume - trade.filled_before)
        if paid > self.minimum + _ROUNDING * max(1.0, trade.charged_before):
            earlier = max(earlier, paid)
        return earlier + self._cost(volume + trade.quantity) - self._cost(volume)

    def _cost(self, volume: float) -> float:
        """Return what the first `volume` units of a month cost; units of the month before count at the first rate."""
        if volume <= 0:
            return volume * self.tiers[0].per_unit
        cost = reached = 0.0
        for tier in self.tiers:
            end = volume if tier.up_to is None else min(volume, tier.up_to)
            cost += (end - reached) * tier.per_unit
            if end == volume:
                break
            reached = end
        return cost


class MonthVolume:
    """Units that each strategy has executed in the current calendar month of the exchange's sessions."""

    __slots__ = ("_day", "_month", "_units")

    def __init__(self) -> None:
        self._day = -1
        self._month = (0, 0)
        self._units: dict[str, tuple[tuple[int, int], float]] = {}

    def of(self, strategy: str, session: int) -> float:
        """Return the units so far in the month of `session`, a date in days since the epoch."""
        month, units = self._units.get(strategy, (None, 0.0))
        return units if month == self._month_of(session) else 0.0

    def add(self, strategy: str, session: int, quantity: float) -> None:
        """Count an execution."""
        self._units[strategy] = self._month_of(session), self.of(strategy, session) + quantity

    def _month_of(self, session: int) -> tuple[int, int]:
        if session != self._day:
            date = day_to_date(session)
            self._day, self._month = session, (date.year, date.month)
        return self._month
