"""The order validator: whether an order is well made and allowed at all (domain rule 7.2). Guards ask what it would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated, Final, TypeAlias

from pydantic import Field

from fairlead.contracts.orders.row import CanonicalOrder
from fairlead.contracts.settings import Settings
from fairlead.core.errors import ContractError
from fairlead.core.grid import GRID_TOLERANCE
from fairlead.core.instruments import SYMBOL_PATTERN, Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import OrderType, TimeInForce
from fairlead.core.portfolio import Portfolio
from fairlead.core.time import to_datetime
from fairlead.risk import kernels
from fairlead.risk.guards.base import PASSED, CheckResult, Finding, portfolio_view
from fairlead.risk.guards.exposure import exceeds, price_to_pay
from fairlead.risk.guards.settings import MOST_MONEY, Limit
from fairlead.risk.guards.views import AnyOrder, MarketView, OrderView, PortfolioView, order_view
from fairlead.risk.pretrade import check_order
from fairlead.risk.rejection import Rejection
from fairlead.sdk.limits import RiskLimits

_TITLES: Final = (
    *("V1 Schema", "V2 Quantity", "V3 PriceGrid", "V4 RequiredPrices", "V5 BracketOrder", "V6 Validity", "V7 BrokerTypes"),
    *("V8 BuyingPower", "V9 Leverage", "V10 OrderSize", "V11 Tradable", "V12 StrategyLimits", "V13 ModeAndAccount"),
)


class ValidatorSettings(Settings):
    """Limits of the order validator.

    Parameters
    ----------
    order_types, times_in_force : tuple
        V7: what the broker takes.
    fee_buffer_bps : Decimal
        V8: added to what an order costs, for commission and slippage.
    max_leverage : Decimal, optional
        V9: worst gross exposure of the strategy as a multiple of its equity; what the strategy declares if not given, which is
        1 unless it says otherwise.
    max_order_qty, max_order_notional : Decimal, optional
        V10: units, and currency. None: no limit of their own.
    """

    order_types: tuple[OrderType, ...] = tuple(OrderType)
    times_in_force: tuple[TimeInForce, ...] = tuple(TimeInForce)
    fee_buffer_bps: Annotated[Limit, Field(ge=0, le=1_000)] = Decimal(10)
    max_leverage: Limit | None = Field(default=None, gt=0, le=20)
    max_order_qty: Limit | None = Field(default=None, gt=0, le=MOST_MONEY)
    max_order_notional: Limit | None = Field(default=None, gt=0, le=MOST_MONEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What the validator must know beside order, portfolio and market.

    Parameters
    ----------
    mode : str
        What the account is for: ``backtest``, ``paper`` or ``live``; empty if every order may go there.
    is_enabled : bool
        Whether the strategy trades.
    limits : RiskLimits
        Those that it declares, tightened by the configuration.
    ended : str
        Why the symbol can no longer be traded; empty if it can.
    """

    mode: str = ""
    is_enabled: bool = True
    limits: RiskLimits = field(default_factory=RiskLimits)
    ended: str = ""


Row: TypeAlias = Mapping[str, str]
"""A row of text with the columns of a canonical order."""


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that a row of the table looks at."""

    order: OrderView
    portfolio: PortfolioView
    market: MarketView
    account: AccountFacts
    limits: ValidatorSettings

    @property
    def instrument(self) -> Instrument | None:
        return self.market.instrument


class OrderValidator:
    """Checks V1 to V13, in that order.

    Parameters
    ----------
    settings : ValidatorSettings, optional
    """

    def __init__(self, settings: ValidatorSettings | None = None) -> None:
        self._settings = settings or ValidatorSettings()

    def check(
        self,
        order: AnyOrder | Row,
        portfolio: Portfolio | PortfolioView,
        market: MarketView,
        account: AccountFacts | None = None,
    ) -> Rejection | None:
        """Return the first rule that an order breaks, or None.

        Parameters
        ----------
        order : Order, CanonicalOrder, OrderView, or mapping of str to str
            A mapping is a row of text with the columns of a canonical order.
        portfolio : Portfolio or PortfolioView
        market : MarketView
        account : AccountFacts, optional
        """
        return next((found.rejection for found in self.check_all(order, portfolio, market, account) if found.reason), None)

    def check_all(
        self,
        order: AnyOrder | Row,
        portfolio: Portfolio | PortfolioView,
        market: MarketView,
        account: AccountFacts | None = None,
    ) -> tuple[CheckResult, ...]:
        """Return what every row found, up to the first that refuses: what follows takes for granted what came before."""
        asked, wrong = _read(order)
        if asked is None:
            return (CheckResult(_TITLES[0], wrong),)
        case = _Case(asked, portfolio_view(portfolio), market, account or AccountFacts(), self._settings)
        return _walk(case, case)

    def check_change(
        self,
        added: OrderView,
        whole: OrderView,
        portfolio: PortfolioView,
        market: MarketView,
        account: AccountFacts | None = None,
    ) -> tuple[CheckResult, ...]:
        """Return what every row finds of a change: of what it adds, and as to the size (V2, V10) of what it makes of the order.

        Parameters
        ----------
        added, whole : OrderView
            The order with its new prices; of so many units more, and of all that would work then.
        """
        facts = account or AccountFacts()
        return _walk(
            _Case(added, portfolio, market, facts, self._settings), _Case(whole, portfolio, market, facts, self._settings)
        )


def _walk(case: _Case, sized: _Case) -> tuple[CheckResult, ...]:
    found: list[CheckResult] = []
    for title, check in zip(_TITLES, _CHECKS, strict=True):
        found.append(CheckResult(title, *check(sized if check in _OF_SIZE else case)))
        if found[-1].reason:
            break
    return tuple(found)


def _read(order: AnyOrder | Row) -> tuple[OrderView | None, str]:
    if not isinstance(order, Mapping):
        return order_view(order), ""
    try:
        return order_view(CanonicalOrder.from_cells(order)), ""
    except ContractError as exc:
        return None, str(exc)


def _schema(case: _Case) -> Finding:
    order = case.order
    if not SYMBOL_PATTERN.match(order.symbol):
        return Finding("symbol_not_canonical")
    known = order.order_type in tuple(OrderType) and order.time_in_force in tuple(TimeInForce)
    return PASSED if known else Finding("unknown_type")


def _quantity(case: _Case) -> Finding:
    units, instrument = abs(case.order.signed_quantity), case.instrument
    if not (math.isfinite(units) and units > 0):
        return Finding("no_quantity", units, 0.0)
    # What closes a position, or what is left of one after a split, may be off the lot and below the smallest order.
    if instrument is None or case.portfolio.only_reduces(case.order):
        return PASSED
    if abs(units - instrument.floor_quantity(units)) > GRID_TOLERANCE * max(1.0, units):
        return Finding("off_lot", units, instrument.lot_step)
    return Finding("" if kernels.tradable(units, instrument.min_quantity) else "below_min_qty", units, instrument.min_quantity)


def _price_grid(case: _Case) -> Finding:
    order, instrument = case.order, case.instrument
    exits = (order.exits.take_profit, order.exits.stop_loss) if order.exits is not None else ()
    for price in (order.limit_price, order.stop_price, *exits):
        if price is None:
            continue
        if not (math.isfinite(price) and price > 0):
            return Finding("price_not_above_0", price, 0.0)
        if instrument is None:
            continue
        # On the grid, rounding up and rounding down are the same.
        if instrument.ceil_price(price) - instrument.floor_price(price) > 0.5 * instrument.tick_at(price):
            return Finding("off_tick", price, instrument.tick_at(price))
    return PASSED


def _required_prices(case: _Case) -> Finding:
    return PASSED if _intent(replace(case.order, exits=None)) is not None else Finding("prices_of_type")


def _bracket(case: _Case) -> Finding:
    return PASSED if _intent(case.order) is not None else Finding("bracket_ordering")


def _intent(order: OrderView) -> OrderIntent | None:
    # The rules of type, prices and bracket are those of an intent.
    has_end = order.time_in_force is TimeInForce.GTD
    try:
        return OrderIntent(
            symbol=order.symbol,
            amount=order.signed_quantity,
            order_type=order.order_type,
            limit_price=order.limit_price,
            stop_price=None if order.order_type is OrderType.TRAILING_STOP else order.stop_price,
            time_in_force=order.time_in_force,
            expires_at=to_datetime(order.expires_ns) if has_end and order.expires_ns is not None else None,
            trail_amount=order.trail_amount,
            trail_percent=order.trail_percent,
            exits=order.exits,
        )
    except ContractError:
        return None


def _validity(case: _Case) -> Finding:
    ends = case.order.expires_ns
    if ends is None:
        return PASSED
    if ends <= case.order.created_ns:
        return Finding("ends_before_it_begins")
    return PASSED if ends > case.market.now_ns else Finding("already_expired")


def _broker_types(case: _Case) -> Finding:
    if case.order.order_type not in case.limits.order_types:
        return Finding("order_type_not_allowed")
    return PASSED if case.order.time_in_force in case.limits.times_in_force else Finding("time_in_force_not_allowed")


def _leverage(case: _Case) -> float:
    limit = case.limits.max_leverage
    return case.account.limits.max_leverage if limit is None else float(limit)


def _buying_power(case: _Case) -> Finding:
    order, portfolio = case.order, case.portfolio
    if portfolio.adds_nothing(order) or case.instrument is None:
        return PASSED
    mark, added = portfolio.price(order.symbol), portfolio.added(order)
    if not (portfolio.is_priced and mark > 0):
        return Finding("no_market_data")
    own = portfolio.own
    _, gross = own.after(order.symbol, added, order.order_type)
    premium = abs(added) * (price_to_pay(order, mark) - mark) * case.instrument.multiplier
    cost = (max(0.0, gross - own.gross) + premium) * (1 + float(case.limits.fee_buffer_bps) / 1e4)
    power = max(0.0, _leverage(case) * own.equity - own.gross)
    return Finding("buying_power" if cost > 0 and exceeds(cost, power) else "", cost, power)


def _max_leverage(case: _Case) -> Finding:
    order, own = case.order, case.portfolio.own
    if case.portfolio.adds_nothing(order) or case.instrument is None:
        return PASSED
    _, gross = own.after(order.symbol, case.portfolio.added(order), order.order_type)
    code, measured, limit = kernels.check_limits(own.equity, 0.0, gross, kernels.NO_LIMIT, _leverage(case))
    if code:
        return Finding("no_equity" if code == kernels.NO_EQUITY else "leverage", measured, limit)
    return Finding("", gross, _leverage(case) * own.equity)


def _order_size(case: _Case) -> Finding:
    order, portfolio, limits = case.order, case.portfolio, case.limits
    if portfolio.only_reduces(order) or case.instrument is None:
        return PASSED
    units = abs(order.signed_quantity)
    if limits.max_order_qty is not None and exceeds(units, float(limits.max_order_qty)):
        return Finding("order_quantity", units, float(limits.max_order_qty))
    value = units * price_to_pay(order, portfolio.price(order.symbol)) * case.instrument.multiplier
    if limits.max_order_notional is not None and exceeds(value, float(limits.max_order_notional)):
        return Finding("order_notional", value, float(limits.max_order_notional))
    return PASSED


def _tradable(case: _Case) -> Finding:
    if case.instrument is None:
        return Finding("unknown_symbol")
    return Finding(case.account.ended)


def _strategy_limits(case: _Case) -> Finding:
    order, portfolio, instrument = case.order, case.portfolio, case.instrument
    if not case.account.is_enabled:
        return Finding("strategy_not_enabled")
    quantity = portfolio.added(order)
    if instrument is None or order.reduce_only or quantity == 0.0:
        return PASSED
    refused = check_order(
        order.symbol,
        quantity,
        order.order_type,
        exposure=portfolio.own,
        limits=case.account.limits,
        instruments={order.symbol: instrument},
        price=portfolio.price(order.symbol),
    )
    return PASSED if refused is None else Finding(refused.reason, refused.measured, refused.limit)


def _mode_and_account(case: _Case) -> Finding:
    made_for, account = case.order.mode, case.account.mode
    return Finding("mode_of_account") if made_for and account and made_for != account else PASSED


_CHECKS: Final[tuple[Callable[[_Case], Finding], ...]] = (
    *(_schema, _quantity, _price_grid, _required_prices, _bracket, _validity, _broker_types),
    *(_buying_power, _max_leverage, _order_size, _tradable, _strategy_limits, _mode_and_account),
)
_OF_SIZE: Final = (_quantity, _order_size)
"""They ask how large an order is, not what it adds."""
