"""Sizing of positions from money at risk: exact numbers in, whole lots out (domain rule 5).

Roundings are those of the engine, `fairlead.risk.kernels`. They forgive the last digit of a float; what they give is checked
against the budget in exact numbers, and is a lot less where that digit was too much.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Final, NamedTuple, TypeAlias

from pydantic import Field

from fairlead.contracts.settings import Settings, build_settings
from fairlead.core.errors import ContractError
from fairlead.core.grid import GRID_TOLERANCE
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.risk import kernels
from fairlead.risk.sizing import Sized, at_least_minimum

Number: TypeAlias = Decimal | int | float

# Beyond this many lots a float cannot tell one lot from the next.
_MOST_LOTS: Final = 10**15

Positive = Annotated[Decimal, Field(gt=0)]
NotNegative = Annotated[Decimal, Field(ge=0)]


class SizingMode(StrEnum):
    """What the size of a position follows from."""

    FIXED = "fixed"
    PCT_EQUITY = "pct_equity"
    RISK_BASED = "risk"


class SizingRule(Settings):
    """How a strategy's positions are sized; what is not stated here, the session knows.

    Parameters
    ----------
    mode : SizingMode
        A fixed quantity, a share of equity, or as much as loses `risk_pct` at the stop.
    fixed_qty : Decimal
        Units, for `FIXED`.
    pos_pct : Decimal
        Percent of equity, for `PCT_EQUITY`.
    risk_pct : Decimal
        Percent of equity, for `RISK_BASED`.
    max_pos_pct : Decimal
        Most that a position may be worth, in percent of equity, in every mode.
    max_position_loss_pct_equity : Decimal, optional
        Most that a position may lose at its stop, in percent of equity, in every mode.
    max_volume_qty : Decimal, optional
        Units that the market can take, from its volume.
    max_symbol_qty : Decimal, optional
        Units that the symbol's own limit allows.
    """

    mode: SizingMode = SizingMode.RISK_BASED
    fixed_qty: NotNegative = Decimal(1)
    pos_pct: Annotated[Decimal, Field(gt=0, le=1000)] = Decimal(10)
    risk_pct: Annotated[Decimal, Field(gt=0, le=100)] = Decimal(1)
    max_pos_pct: Annotated[Decimal, Field(gt=0, le=1000)] = Decimal(20)
    max_position_loss_pct_equity: Annotated[Decimal, Field(gt=0, le=100)] | None = None
    max_volume_qty: NotNegative | None = None
    max_symbol_qty: NotNegative | None = None


class SizingConfig(SizingRule):
    """A `SizingRule`, and what it is applied to.

    Parameters
    ----------
    equity : Decimal
        Currency; without any there are no positions.
    tick_size : Decimal, optional
        Price grid in currency; None means the US equity rule.
    tick_value : Decimal, optional
        What a unit gains by a tick, in currency; tick times multiplier if not given.
    multiplier : Decimal
        Currency value of one unit at price 1.
    lot_step, min_qty : Decimal
        Quantity grid and smallest quantity, in units.
    buying_power : Decimal, optional
        Currency that the account can still take on.
    """

    equity: Decimal
    tick_size: Positive | None = None
    tick_value: Positive | None = None
    multiplier: Positive = Decimal(1)
    lot_step: Positive = Decimal(1)
    min_qty: Positive = Decimal(1)
    buying_power: NotNegative | None = None


class PositionSize(NamedTuple):
    """How many units, and what was done to get there."""

    quantity: Decimal
    """On the lot grid, unsigned; 0 if there is to be no position."""
    reason: str = ""
    """Why it is 0: ``no_equity``, ``no_price``, ``no_stop``, ``no_stop_distance`` or ``below_min_qty``."""
    clips: tuple[str, ...] = ()
    """The limits that lowered it, in the order in which they were applied."""


class PositionSizer:
    """Sizes positions; it keeps nothing from one call to the next.

    Parameters
    ----------
    config : SizingConfig

    Raises
    ------
    ConfigurationError
        If the grid cannot be that of an instrument.
    """

    def __init__(self, config: SizingConfig) -> None:
        self.config = build_settings(SizingConfig, config, "sizing")
        self._instrument = Instrument(
            symbol="SIZED",
            tick_size=None if config.tick_size is None else float(config.tick_size),
            lot_step=float(config.lot_step),
            min_quantity=float(config.min_qty),
            multiplier=float(config.multiplier),
        )

    def calculate(
        self,
        entry_price: Number,
        stop_price: Number | None = None,
        *,
        equity: Number | None = None,
        buying_power: Number | None = None,
    ) -> PositionSize:
        """Return the units to trade.

        Parameters
        ----------
        entry_price, stop_price : Decimal, int or float
            Currency. The stop may lie on either side.
        equity, buying_power : Decimal, int or float, optional
            Instead of those of the configuration.

        Raises
        ------
        ContractError
            If a number is NaN or infinite.
        """
        config = self.config
        money = config.equity if equity is None else _exact("equity", equity)
        power = config.buying_power if buying_power is None else _exact("buying_power", buying_power)
        entry = self._price("entry_price", entry_price)
        stop = None if stop_price is None else self._price("stop_price", stop_price)
        at_risk = config.mode is SizingMode.RISK_BASED
        if money <= 0:
            return _none("no_equity")
        if entry <= 0:
            return _none("no_price")
        # A limit on the loss at a stop cannot hold without one.
        if stop is None and (at_risk or config.max_position_loss_pct_equity is not None):
            return _none("no_stop")
        loss = self._loss(entry, stop)
        if at_risk and loss == 0:
            return _none("no_stop_distance")
        price = Fraction(entry) * Fraction(config.multiplier)
        if config.mode is SizingMode.FIXED:
            quantity = self._units(Fraction(config.fixed_qty), Fraction(1))
        elif at_risk:
            quantity = self._units(_share(money, config.risk_pct), loss)
        else:
            quantity = self._units(_share(money, config.pos_pct), price)
        return self._clip(quantity, self._caps(money, power, price, loss))

    def _caps(self, money: Decimal, power: Decimal | None, price: Fraction, loss: Fraction) -> dict[str, float]:
        config = self.config
        caps = {"max_pos_pct": self._units(_share(money, config.max_pos_pct), price)}
        if config.max_position_loss_pct_equity is not None and loss > 0:
            caps["max_position_loss_pct_equity"] = self._units(_share(money, config.max_position_loss_pct_equity), loss)
        if power is not None:
            caps["buying_power"] = self._units(Fraction(max(power, Decimal(0))), price)
        for name, units in (("max_volume_qty", config.max_volume_qty), ("max_symbol_qty", config.max_symbol_qty)):
            if units is not None:
                caps[name] = self._units(Fraction(units), Fraction(1))
        return caps

    def _clip(self, quantity: float, caps: dict[str, float]) -> PositionSize:
        clips = []
        for name, cap in caps.items():
            allowed = kernels.clipped(quantity, cap)
            if allowed != quantity:
                quantity = allowed
                clips.append(name)
        sized = at_least_minimum(quantity, self._instrument)
        return PositionSize(self._instrument.quantity_to_decimal(sized.quantity), sized.note, tuple(clips))

    def _loss(self, entry: Decimal, stop: Decimal | None) -> Fraction:
        """Return what a unit loses between entry and stop, in currency; the way is rounded up to whole ticks."""
        tick = self._tick(entry)
        ticks = 0 if stop is None else math.ceil(abs(Fraction(entry) - Fraction(stop)) / Fraction(tick))
        value = self.config.tick_value
        return ticks * (Fraction(tick) * Fraction(self.config.multiplier) if value is None else Fraction(value))

    def _tick(self, price: Decimal) -> Decimal:
        return self.config.tick_size or Decimal(repr(self._instrument.tick_at(float(price))))

    def _price(self, name: str, price: Number) -> Decimal:
        exact = _exact(name, price)
        if isinstance(price, Decimal | int) or exact <= 0:
            return exact
        # A float that was computed stands a hair beside its tick, which must not count as a tick more.
        on_tick = self._instrument.price_to_decimal(float(price))
        return on_tick if abs(on_tick - exact) <= self._tick(exact) * Decimal(repr(GRID_TOLERANCE)) else exact

    def _units(self, budget: Fraction, unit: Fraction) -> float:
        """Return the most units on the lot grid of which each costs `unit`, in currency, and all together at most `budget`."""
        instrument = self._instrument
        if budget > _MOST_LOTS * unit * Fraction(self.config.lot_step):
            raise ContractError.of("sizing", f"come to at most {_MOST_LOTS:.0e} lots", f"{float(budget)} / {float(unit)}")
        units = kernels.units_for(float(budget), float(unit), 1.0, instrument.lot_step)
        while units > 0 and Fraction(instrument.quantity_to_decimal(units)) * unit > budget:
            units = instrument.floor_quantity(units - 0.5 * instrument.lot_step)
        return units


class RuleSizer:
    """Sizes the intents of one strategy by its rule, on the grids of the instruments.

    Parameters
    ----------
    rule : SizingRule
    """

    def __init__(self, rule: SizingRule) -> None:
        self.rule = rule
        self._sizers: dict[Instrument, PositionSizer] = {}

    def size(
        self, intent: OrderIntent, instrument: Instrument, *, price: float, equity: float, buying_power: float | None = None
    ) -> Sized:
        """Return the signed units of an intent whose amount is a direction; 0.0 with the reason if there are none.

        Parameters
        ----------
        price : float
            Last known price, in currency: the entry of an order that states none.
        equity, buying_power : float
            Of the strategy at the decision, in currency.

        Raises
        ------
        ContractError
            If a number is not finite, or the size is beyond what can be counted.
        """
        sizer = self._sizers.get(instrument)
        if sizer is None:
            sizer = self._sizers[instrument] = PositionSizer(self._config(instrument))
        entry = next(level for level in (intent.stop_price, intent.limit_price, price) if level is not None)
        stop = None if intent.exits is None else intent.exits.stop_loss
        found = sizer.calculate(entry, stop, equity=equity, buying_power=buying_power)
        return Sized(math.copysign(float(found.quantity), intent.amount) if found.quantity else 0.0, found.reason)

    def _config(self, instrument: Instrument) -> SizingConfig:
        tick = instrument.tick_size
        # Decimals of the shortest text: those of a binary fraction are no grid.
        return SizingConfig(
            **self.rule.model_dump(),
            equity=Decimal(0),
            tick_size=None if tick is None else _exact("tick_size", tick),
            multiplier=_exact("multiplier", instrument.multiplier),
            lot_step=_exact("lot_step", instrument.lot_step),
            min_qty=_exact("min_quantity", instrument.min_quantity),
        )


def _exact(name: str, value: Number) -> Decimal:
    exact = value if isinstance(value, Decimal) else Decimal(value) if isinstance(value, int) else Decimal(repr(float(value)))
    if not (exact.is_finite() and math.isfinite(float(exact))):
        raise ContractError.of(name, "be a finite number", value)
    return exact


def _none(reason: str) -> PositionSize:
    return PositionSize(Decimal(0), reason)


def _share(money: Decimal, percent: Decimal) -> Fraction:
    return Fraction(money) * Fraction(percent) / 100
