"""Guards on how much is held: G1, G2, G3 and G9. The arithmetic is that of `fairlead.risk.pretrade` and its kernels."""

from __future__ import annotations

from typing import Final

from fairlead.core.orders import OrderType
from fairlead.risk import kernels
from fairlead.risk.guards.base import NO_DATA, Finding, Guard
from fairlead.risk.guards.views import MarketView, OrderView, PortfolioView

_MARKET: Final = OrderType.MARKET
_AT_MARKET: Final = (OrderType.MARKET, OrderType.ADAPTIVE)
_NO_CAP: Final = float("inf")


def exceeds(measured: float, limit: float) -> bool:
    """Whether a limit is broken, and not by the last bit of a sum; what is not known breaks it."""
    return not measured <= limit * (1 + kernels.ROUNDING)


def multiplier_of(market: MarketView | None) -> float:
    """Return the currency value of a unit at price 1; 1 where no instrument says otherwise."""
    return 1.0 if market is None or market.instrument is None else market.instrument.multiplier


def price_to_pay(order: OrderView, mark: float, buffer_bps: float = 0.0) -> float:
    """Return the highest price at which an order counts, in currency: never less than the last one."""
    if order.order_type in _AT_MARKET:
        return mark * (1 + buffer_bps / 1e4)
    return max(mark, order.limit_price or mark, order.stop_price or mark)


def after(order: OrderView, portfolio: PortfolioView, multiplier: float, buffer_bps: float) -> tuple[float, float]:
    """Return (exposure of the symbol, gross exposure of the account) with the order, both at their worst, in currency.

    Parameters
    ----------
    multiplier : float
        Currency value of one unit at price 1.
    """
    symbol, quantity, mark = order.symbol, portfolio.added(order), portfolio.price(order.symbol)
    units, gross = portfolio.own.after(symbol, quantity, order.order_type)
    # All is counted at the last price; what the order pays beyond it comes on top.
    premium = abs(quantity) * (price_to_pay(order, mark, buffer_bps) - mark) * multiplier
    others = sum(book.after(symbol, 0.0, _MARKET)[0] for book in portfolio.others)
    value = (units + others) * mark * multiplier
    return value + premium, gross + sum(book.gross for book in portfolio.others) + premium


class MaxGrossExposure(Guard):
    """G1: everything held and working, and the order, against a sum of money."""

    __slots__ = ()
    guard_id, name, spares_exits = "G1", "MaxGrossExposure", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:
        limit = float(self._limits.max_gross_exposure) * portfolio.scale.size * portfolio.scale.gross
        if not (portfolio.is_priced and portfolio.price(order.symbol) > 0):
            return Finding(NO_DATA, limit=limit)
        _, gross = after(order, portfolio, multiplier_of(market), float(self._limits.slip_buffer_bps))
        return Finding("gross_exposure" if exceeds(gross, limit) else "", gross, limit)


class PerSymbolMaxQty(Guard):
    """G2: what is held of a symbol, what works on the order's side, and the order, in units."""

    __slots__ = ()
    guard_id, name, spares_exits = "G2", "PerSymbolMaxQty", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:  # noqa: ARG002  one signature for all
        limit = float(self._limits.max_symbol_qty) * portfolio.scale.size
        if not portfolio.price(order.symbol) > 0:
            return Finding(NO_DATA, limit=limit)
        units = portfolio.own.same_side(order.symbol, portfolio.added(order))
        units += sum(book.after(order.symbol, 0.0, _MARKET)[0] for book in portfolio.others)
        return Finding("symbol_quantity" if exceeds(units, limit) else "", units, limit)


class PerSymbolMaxNotional(Guard):
    """G3: exposure in one symbol against a share of equity."""

    __slots__ = ()
    guard_id, name, spares_exits = "G3", "PerSymbolMaxNotional", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:
        share = float(self._limits.max_pos_pct) / 100 * portfolio.scale.size
        if not (portfolio.is_priced and portfolio.price(order.symbol) > 0):
            return Finding(NO_DATA)
        equity = portfolio.equity
        value, _ = after(order, portfolio, multiplier_of(market), 0.0)
        code, measured, limit = kernels.check_limits(equity, value, 0.0, share, _NO_CAP)
        if code:
            return Finding("no_equity" if code == kernels.NO_EQUITY else "symbol_notional", measured, limit)
        return Finding("" if value == value else NO_DATA, value, share * equity)


class MaxOpenPositions(Guard):
    """G9: symbols that are held, or may come to be."""

    __slots__ = ()
    guard_id, name, spares_exits = "G9", "MaxOpenPositions", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:  # noqa: ARG002  one signature for all
        held = portfolio.own.open_symbols().union(*(book.open_symbols() for book in portfolio.others))
        count, limit = len(held | {order.symbol}), self._limits.max_open_positions
        opens = order.symbol not in held
        return Finding("open_positions" if opens and count > limit else "", count, limit)
