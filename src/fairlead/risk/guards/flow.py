"""Guards on which orders, how many and how soon: G11, G12 and G13."""

from __future__ import annotations

from fairlead.core.time import NS_PER_SECOND
from fairlead.risk import kernels
from fairlead.risk.guards.base import NO_DATA, PASSED, Finding, Guard
from fairlead.risk.guards.views import MarketView, OrderView, PortfolioView


class OrderRate(Guard):
    """G11: new orders of the last minute, of one strategy in one symbol and of all."""

    __slots__ = ()
    guard_id, name = "G11", "OrderRate"

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:  # noqa: ARG002  one signature for all
        counters, limits = portfolio.counters, self._limits
        if counters.orders_of_all + 1 > limits.max_orders_per_min_total:
            return Finding("order_rate_of_all", counters.orders_of_all + 1, limits.max_orders_per_min_total)
        count, limit = counters.orders_of_pair + 1, limits.max_orders_per_min
        return Finding("order_rate" if count > limit else "", count, limit)


class Blacklist(Guard):
    """G12: symbols that are not to be traded, short sales of what is not lent, and orders that have left already."""

    __slots__ = ()
    guard_id, name = "G12", "Blacklist"

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:
        if order.symbol in self._limits.blacklist:
            return Finding("blacklisted")
        if order.key and order.key in portfolio.counters.keys:
            return Finding("duplicate_key")
        if order.signed_quantity > 0 or portfolio.only_reduces(order):
            return PASSED
        if market is None or market.instrument is None:
            return Finding("unknown_symbol")
        if not portfolio.price(order.symbol) > 0:
            return Finding(NO_DATA)
        instrument = market.instrument
        left = portfolio.own.lowest(order.symbol, portfolio.added(order), order.order_type)
        refused = not instrument.shortable and kernels.is_short(left, instrument.lot_step)
        return Finding("not_shortable") if refused else PASSED


class Cooldown(Guard):
    """G13: time since the last order of one strategy in one symbol left, whatever became of it, and whether one works there.

    It is asked only where `cooldown_s` is above 0. The orders of one set are one order.
    """

    __slots__ = ()
    guard_id, name, spares_exits = "G13", "Cooldown", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:  # noqa: ARG002  one signature for all
        counters, limit = portfolio.counters, float(self._limits.cooldown_s)
        if order.oco_id and order.oco_id in counters.sets:
            return PASSED
        if order.symbol in counters.busy:
            return Finding("order_working")
        if counters.last_sent_ns is None:
            return PASSED
        passed_s = (order.created_ns - counters.last_sent_ns) / NS_PER_SECOND
        return Finding("cooldown" if passed_s < limit else "", passed_s, limit)
