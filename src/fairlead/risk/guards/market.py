"""Guards on the market that an order would meet: G6, G7 and G8."""

from __future__ import annotations

from typing import Final

from fairlead.core.orders import OrderType
from fairlead.risk.guards.base import NO_DATA, PASSED, Finding, Guard
from fairlead.risk.guards.exposure import exceeds
from fairlead.risk.guards.views import UNKNOWN, MarketView, OrderView, PortfolioView

_AT_MARKET: Final = (OrderType.MARKET, OrderType.ADAPTIVE)


class SlippageSanity(Guard):
    """G6: how far from the last price an order would trade, to its disadvantage, or be triggered.

    Stops and limits that only reduce are spared: they may lie as far away as they like.
    """

    __slots__ = ()
    guard_id, name = "G6", "SlippageSanity"

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:
        limit, mark = float(self._limits.max_slippage_pct), UNKNOWN if market is None else float(market.last)
        reduces = portfolio.only_reduces(order)
        if reduces and order.order_type not in _AT_MARKET:
            return PASSED
        if market is None or not mark > 0:
            return PASSED if reduces else Finding(NO_DATA, limit=limit)
        far = 100 * self._distance(order, mark, market) / mark
        if far != far:
            return PASSED if reduces else Finding(NO_DATA, limit=limit)
        return Finding("slippage" if exceeds(far, limit) else "", far, limit)

    def _distance(self, order: OrderView, mark: float, market: MarketView) -> float:
        if order.order_type in _AT_MARKET:
            if not market.is_quoted:
                return mark * float(self._limits.slip_buffer_bps) / 1e4
            return order.sign * (float(market.ask if order.sign > 0 else market.bid) - mark)
        far = order.sign * (order.limit_price - mark) if order.limit_price is not None else 0.0
        if order.stop_price is not None:
            far = max(far, abs(order.stop_price - mark))
        if order.trail_percent is not None:
            far = max(far, mark * order.trail_percent / 100)
        return max(far, order.trail_amount or 0.0)


class MarketHaltProxy(Guard):
    """G7: a halt, or what looks like one: silence, no sound quote, a leap.

    Missing and stale data do not hold up what only reduces.
    """

    __slots__ = ()
    guard_id, name = "G7", "MarketHaltProxy"

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:
        spared = portfolio.only_reduces(order)
        if market is None:
            return PASSED if spared else Finding(NO_DATA)
        if market.is_halted:
            return Finding("halted")
        silence = self._silence(market)
        if silence.reason and not spared:
            return silence
        wrong = self._quote(market, spared=spared)
        return wrong if wrong.reason else self._leap(market, silence, spared=spared)

    def _silence(self, market: MarketView) -> Finding:
        age, limit = float(market.age_s), float(self._limits.max_data_age_s)
        if not float(market.last) > 0 or age != age:
            return Finding(NO_DATA, age, limit)
        # Nobody expects a quote while the exchange is closed.
        return Finding("stale_market_data" if exceeds(age, limit) and market.in_session is not False else "", age, limit)

    def _quote(self, market: MarketView, *, spared: bool) -> Finding:
        if not market.is_quoted:
            return PASSED
        bid, ask, limit = float(market.bid), float(market.ask), float(self._limits.max_spread_bps)
        if not (bid > 0 and ask > 0):
            return PASSED if spared else Finding("no_quote")
        if bid > ask:
            return Finding("crossed_quote", bid, ask)
        spread = 1e4 * (ask - bid) / (0.5 * (ask + bid))
        return Finding("wide_spread" if exceeds(spread, limit) else "", spread, limit)

    def _leap(self, market: MarketView, silence: Finding, *, spared: bool) -> Finding:
        if market.reference is None:
            return silence if not silence.reason else PASSED
        reference, limit = float(market.reference), float(self._limits.max_move_pct)
        move = 100 * abs(float(market.last) / reference - 1) if reference > 0 else UNKNOWN
        if move != move:
            return PASSED if spared else Finding("no_reference_price", limit=limit)
        return Finding("price_move" if exceeds(move, limit) else "", move, limit)


class TradingHours(Guard):
    """G8: an order decided while the symbol's exchange is closed."""

    __slots__ = ()
    guard_id, name = "G8", "TradingHours"

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:
        if not self._limits.trading_hours_only or (market is not None and market.in_session):
            return PASSED
        if market is None or market.in_session is None:
            return PASSED if portfolio.only_reduces(order) else Finding("unknown_hours")
        return Finding("outside_session")
