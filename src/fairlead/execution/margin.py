"""Accounts: what may be bought with what is there, when a margin call comes, and what it sells.

Pure rules over plain numbers: cash, and holdings with their prices. Sources: Federal Reserve Board Regulation T, 12 CFR 220.12
(initial margin); FINRA Rule 4210(b) and (c) (minimum equity, maintenance margin).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from pydantic import Field

from fairlead.contracts.settings import Settings

# A limit is not breached by the last bit of a sum of floats.
_ROUNDING: Final = 1e-9


class AccountSettings(Settings):
    """The kind of account, and its rules.

    Parameters
    ----------
    type : {'simple', 'cash', 'reg_t'}
        ``simple``: buying power is leverage times equity, less gross exposure (domain rule 6.14); nothing is called in before
        the equity is gone. ``cash``: what is bought is paid in full, and nothing is sold short. ``reg_t``: a US margin account.
    leverage : float, optional
        Of a simple account. None leaves buying power to the risk limits of the strategy, and watches nothing.
    initial_frac : float
        Margin for what is opened, as a fraction of its value; of a short in addition to its proceeds.
    maintenance_long_frac, maintenance_short_frac : float
        Margin that must stay, as a fraction of the value held.
    short_low_price : float
        Below this price a short needs its whole value, or `short_low_floor` a unit if that is more.
    short_floor, short_low_floor : float
        Least maintenance margin of a short, in currency a unit, at and below `short_low_price`.
    minimum_equity : float
        With less, nothing is bought on margin or sold short.
    settlement_days : {0, 1}
        Sessions until the proceeds of a sale can be spent in a cash account.
    margin_call : {'liquidate', 'stop'}
        Sell until the account is in order again, or end the run of the strategy.
    call_buffer_frac : float
        How much more than the maintenance margin a liquidation restores, as a fraction of it.
    """

    type: Literal["simple", "cash", "reg_t"] = "simple"
    leverage: float | None = Field(default=None, gt=0, le=20)
    initial_frac: float = Field(default=0.50, gt=0, le=1)
    maintenance_long_frac: float = Field(default=0.25, gt=0, le=1)
    maintenance_short_frac: float = Field(default=0.30, gt=0, le=2)
    short_low_price: float = Field(default=5.0, ge=0)
    short_floor: float = Field(default=5.0, ge=0)
    short_low_floor: float = Field(default=2.5, ge=0)
    minimum_equity: float = Field(default=2_000.0, ge=0)
    settlement_days: Literal[0, 1] = 0
    margin_call: Literal["liquidate", "stop"] = "liquidate"
    call_buffer_frac: float = Field(default=0.05, ge=0, le=10)

    @property
    def is_watched(self) -> bool:
        """Whether the account refuses or sells anything by itself."""
        return self.type != "simple" or self.leverage is not None

    @property
    def multiple(self) -> float:
        """The leverage of a simple account."""
        return 1.0 if self.leverage is None else self.leverage


class Holding(NamedTuple):
    """A position at a price."""

    symbol: str
    quantity: float
    """Signed units."""
    price: float
    multiplier: float = 1.0

    @property
    def value(self) -> float:
        """Signed market value, in currency."""
        return self.quantity * self.price * self.multiplier


class MarginState(NamedTuple):
    """Where an account stands, in currency."""

    equity: float
    initial: float
    """What the positions would need if they were opened now."""
    maintenance: float
    """What they need to stay."""

    @property
    def available(self) -> float:
        """Equity that opens something new; below 0 if there is none."""
        return self.equity - self.initial

    @property
    def excess(self) -> float:
        """Equity above the maintenance margin; below 0 it is the amount of the margin call."""
        return self.equity - self.maintenance

    @property
    def is_called(self) -> bool:
        """Whether there is a margin call."""
        return self.excess < -_ROUNDING * max(1.0, self.maintenance)


class Liquidation(NamedTuple):
    """A sale, or the purchase that covers a short, which a margin call demands."""

    symbol: str
    quantity: float
    """Signed units to trade."""


def maintenance_margin(holding: Holding, settings: AccountSettings) -> float:
    """Return what a position needs to stay, in currency; 0 but in a ``reg_t`` account."""
    if settings.type != "reg_t":
        return 0.0
    value, units = abs(holding.value), abs(holding.quantity)
    if holding.quantity >= 0:
        return settings.maintenance_long_frac * value
    if holding.price < settings.short_low_price:
        return max(value, settings.short_low_floor * units)
    return max(settings.maintenance_short_frac * value, settings.short_floor * units)


def initial_margin(holding: Holding, settings: AccountSettings) -> float:
    """Return what a position needs to be opened, in currency: never less than what it needs to stay."""
    value = abs(holding.value)
    if settings.type == "simple":
        return value / settings.multiple
    if settings.type == "cash":
        return value
    return max(settings.initial_frac * value, maintenance_margin(holding, settings))


def margin_state(cash: float, holdings: Iterable[Holding], settings: AccountSettings) -> MarginState:
    """Return where an account stands.

    Parameters
    ----------
    cash : float
        Proceeds of short sales included, as the ledger keeps it.
    holdings : iterable of Holding
    settings : AccountSettings
    """
    equity, initial, maintenance = cash, 0.0, 0.0
    for holding in sorted(holdings):
        equity += holding.value
        initial += initial_margin(holding, settings)
        maintenance += maintenance_margin(holding, settings)
    return MarginState(equity, initial, maintenance)


def buying_power(
    cash: float, holdings: Sequence[Holding], settings: AccountSettings, *, working: float = 0.0, unsettled: float = 0.0
) -> float:
    """Return the value of what can still be bought, in currency, 0 or more.

    Parameters
    ----------
    cash, holdings, settings
        As in `margin_state`.
    working : float
        Value of the working orders that open something, in currency.
    unsettled : float
        Proceeds that cannot be spent yet; they count in a cash account only.

    Notes
    -----
    ``reg_t``: what the equity leaves after the initial margin of all positions, over `initial_frac`. Credit that earlier
    profits left in a special memorandum account is not counted: an account below its initial margin opens nothing.
    """
    if settings.type == "cash":
        return max(0.0, cash - unsettled - working)
    state = margin_state(cash, holdings, settings)
    if settings.type == "simple":
        gross = sum(abs(holding.value) for holding in holdings)
        return max(0.0, settings.multiple * state.equity - gross - working)
    if state.equity < settings.minimum_equity:
        return max(0.0, _free_cash(cash, holdings) - working)
    return max(0.0, state.available / settings.initial_frac - working)


def withdrawable(
    cash: float, holdings: Sequence[Holding], settings: AccountSettings, *, working: float = 0.0, unsettled: float = 0.0
) -> float:
    """Return what can be taken out of an account, in currency, 0 or more, so that what is held and works may stay.

    Parameters
    ----------
    cash, holdings, settings, working, unsettled
        As in `buying_power`.
    """
    power = buying_power(cash, holdings, settings, working=working, unsettled=unsettled)
    if settings.type == "cash":
        return power
    if settings.type == "simple":
        return power / settings.multiple
    state = margin_state(cash, holdings, settings)
    # With less than the minimum equity nothing may stand on margin.
    unmargined = max(state.equity - settings.minimum_equity, _free_cash(cash, holdings) - working)
    return max(0.0, min(state.available - working * settings.initial_frac, unmargined))


def refusal(
    trade: Holding,
    cash: float,
    holdings: Sequence[Holding],
    settings: AccountSettings,
    *,
    working: float = 0.0,
    unsettled: float = 0.0,
) -> str | None:
    """Return why an order must not leave, or None.

    Parameters
    ----------
    trade : Holding
        What the order trades, at the price it is expected to: positive units to buy. One that only reduces a position passes.
    cash, holdings, settings, working, unsettled
        As in `buying_power`.

    Returns
    -------
    str or None
        ``short_in_cash_account``, ``insufficient_settled_cash``, ``below_minimum_equity``, ``insufficient_margin`` or
        ``insufficient_buying_power``.
    """
    held = sum(h.quantity for h in holdings if h.symbol == trade.symbol)
    after = held + trade.quantity
    if held * trade.quantity < 0 and abs(trade.quantity) <= abs(held) * (1 + _ROUNDING):
        return None
    if settings.type == "cash":
        if after < 0:
            return "short_in_cash_account"
        return "insufficient_settled_cash" if _exceeds(trade.value, cash - unsettled - working) else None
    others = [h for h in holdings if h.symbol != trade.symbol]
    settled = margin_state(cash - trade.value, [*others, trade._replace(quantity=after)], settings)
    if settings.type == "simple":
        return "insufficient_buying_power" if _exceeds(settled.initial + working / settings.multiple, settled.equity) else None
    if settled.equity < settings.minimum_equity and (after < 0 or _exceeds(trade.value, _free_cash(cash, holdings) - working)):
        return "below_minimum_equity"
    return "insufficient_margin" if _exceeds(settled.initial + working * settings.initial_frac, settled.equity) else None


def affordable_units(
    spendable: float, price: float, *, multiplier: float = 1.0, lot_step: float = 1.0, cost_frac: float = 0.0
) -> float:
    """Return how many units an amount buys, on the lot grid: what keeps a cash account's cash from falling below zero.

    Parameters
    ----------
    spendable : float
        Currency.
    price : float
        What is really paid: an order that was affordable when it was decided may not be at the next open.
    cost_frac : float
        Commission as a fraction of value, an upper bound.
    """
    unit = price * multiplier * (1.0 + cost_frac)
    if not (spendable > 0 and unit > 0):
        return 0.0
    return math.floor(spendable / unit / lot_step + _ROUNDING) * lot_step


def liquidations(
    cash: float, holdings: Sequence[Holding], settings: AccountSettings, lots: Mapping[str, float] | None = None
) -> list[Liquidation]:
    """Return what a margin call closes, at current prices and before costs; empty if there is no call.

    The position that needs the most margin is reduced first, ties by symbol: the fewest orders. Each is reduced by the fewest
    lots that restore the maintenance margin and its buffer. Once the equity is gone, everything is closed. In a cash account
    the call is for cash below zero, and sells the largest position first.

    Parameters
    ----------
    cash, holdings, settings
        As in `margin_state`.
    lots : mapping of str to float, optional
        Lot by symbol; 1.0 where absent.
    """
    held = [h for h in sorted(holdings) if h.quantity]
    state = margin_state(cash, held, settings)
    if settings.type == "cash" and state.equity > 0:
        weights, owed = {h.symbol: max(0.0, h.value) for h in held}, -cash
    elif not state.equity > 0:
        return [Liquidation(h.symbol, -h.quantity) for h in held]
    else:
        weights = {h.symbol: maintenance_margin(h, settings) for h in held}
        owed = state.maintenance - state.equity / (1.0 + settings.call_buffer_frac) if state.is_called else 0.0
    orders: list[Liquidation] = []
    for holding in sorted(held, key=lambda h: (-weights[h.symbol], h.symbol)):
        weight, size = weights[holding.symbol], abs(holding.quantity)
        if not (owed > 0 and weight > 0):
            break
        lot = (lots or {}).get(holding.symbol, 1.0)
        units = min(size, math.ceil(owed / weight * size / lot - _ROUNDING) * lot)
        orders.append(Liquidation(holding.symbol, math.copysign(units, -holding.quantity)))
        owed -= weight * units / size
    return orders


class Settlement:
    """Proceeds of sales that cannot be spent yet.

    Parameters
    ----------
    days : int
        0: at once; 1: from the next session on.
    """

    __slots__ = ("_amount", "_days", "_session")

    def __init__(self, days: int) -> None:
        self._days = days
        self._session = -1
        self._amount = 0.0

    def sold(self, session: int, proceeds: float) -> None:
        """Count the proceeds of a sale in a session, a date in days since the epoch, in currency and after costs."""
        self._amount = self.unsettled(session) + (proceeds if self._days else 0.0)
        self._session = session

    def unsettled(self, session: int) -> float:
        """Return the proceeds that cannot be spent in a session, in currency."""
        return self._amount if session == self._session else 0.0


def _free_cash(cash: float, holdings: Sequence[Holding]) -> float:
    """Return cash without the proceeds of shorts, which are collateral."""
    return cash + sum(min(0.0, holding.value) for holding in sorted(holdings))


def _exceeds(needed: float, available: float) -> bool:
    return needed > available + _ROUNDING * max(1.0, abs(available))
