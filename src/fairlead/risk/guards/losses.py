"""Guards on what has been lost: G4, G5 and G10."""

from __future__ import annotations

from fairlead.risk.guards.base import Finding, Guard
from fairlead.risk.guards.exposure import exceeds
from fairlead.risk.guards.views import MarketView, OrderView, PortfolioView


class MaxDailyLoss(Guard):
    """G4: equity against that at the start of the session, open positions included."""

    __slots__ = ()
    guard_id, name, spares_exits = "G4", "MaxDailyLoss", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:  # noqa: ARG002  one signature for all
        loss = float(portfolio.counters.session_start_equity) - portfolio.equity
        return _found("daily_loss", loss, float(self._limits.max_daily_loss))


class MaxDrawdown(Guard):
    """G5: equity against its peak since the guards were armed anew."""

    __slots__ = ()
    guard_id, name, spares_exits = "G5", "MaxDrawdown", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:  # noqa: ARG002  one signature for all
        below = float(portfolio.counters.peak_equity) - portfolio.equity
        return _found("drawdown", below, float(self._limits.max_drawdown))


class MaxConsecutiveLosses(Guard):
    """G10: positions closed at a loss one after the other, this session."""

    __slots__ = ()
    guard_id, name, spares_exits = "G10", "MaxConsecutiveLosses", True

    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:  # noqa: ARG002  one signature for all
        losers, limit = portfolio.counters.losers_in_a_row, self._limits.max_consecutive_losses
        return Finding("consecutive_losses" if losers >= limit else "", losers, limit)


def _found(reason: str, amount: float, limit: float) -> Finding:
    if amount != amount:
        return Finding("unknown_equity", amount, limit)
    return Finding(reason if exceeds(amount, limit) else "", amount, limit)
