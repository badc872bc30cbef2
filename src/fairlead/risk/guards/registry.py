"""The guards of an account, asked in the order of their table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fairlead.contracts.settings import build_settings
from fairlead.core.portfolio import Portfolio
from fairlead.risk.guards.base import CheckResult, Guard, portfolio_view
from fairlead.risk.guards.exposure import MaxGrossExposure, MaxOpenPositions, PerSymbolMaxNotional, PerSymbolMaxQty
from fairlead.risk.guards.flow import Blacklist, Cooldown, OrderRate
from fairlead.risk.guards.losses import MaxConsecutiveLosses, MaxDailyLoss, MaxDrawdown
from fairlead.risk.guards.market import MarketHaltProxy, SlippageSanity, TradingHours
from fairlead.risk.guards.settings import GuardId, GuardSettings
from fairlead.risk.guards.views import AnyOrder, MarketView, PortfolioView, order_view
from fairlead.risk.rejection import Rejection

GUARDS: Final[tuple[type[Guard], ...]] = (
    *(MaxGrossExposure, PerSymbolMaxQty, PerSymbolMaxNotional, MaxDailyLoss, MaxDrawdown, SlippageSanity),
    *(MarketHaltProxy, TradingHours, MaxOpenPositions, MaxConsecutiveLosses, OrderRate, Blacklist),
    Cooldown,
)
"""G1 to G13; the last is asked only where there is a cooldown."""


class GuardRegistry:
    """Guards, in the order in which they are asked.

    Parameters
    ----------
    guards : sequence of Guard
    """

    def __init__(self, guards: Sequence[Guard]) -> None:
        self.guards = tuple(guards)

    @classmethod
    def of(cls, settings: GuardSettings) -> GuardRegistry:
        """Return the guards that `settings` asks for and does not disable."""
        off = settings.disabled if settings.cooldown_s > 0 else (*settings.disabled, Cooldown.guard_id)
        return cls([guard(settings) for guard in GUARDS if guard.guard_id not in off])

    def without(self, *ids: GuardId) -> GuardRegistry:
        """Return the registry without some of its guards."""
        return GuardRegistry([guard for guard in self.guards if guard.guard_id not in ids])

    def only(self, *ids: GuardId) -> GuardRegistry:
        """Return the registry with some of its guards."""
        return GuardRegistry([guard for guard in self.guards if guard.guard_id in ids])

    def check_all(
        self, order: AnyOrder, portfolio: Portfolio | PortfolioView, market: MarketView | None = None
    ) -> Rejection | None:
        """Return the first rejection, or None if the order may leave.

        Parameters
        ----------
        order : Order, CanonicalOrder or OrderView
        portfolio : Portfolio or PortfolioView
            A bare ledger is an account in which no order works and nothing has happened today; see `PortfolioView.of`.
        market : MarketView, optional
            That of the portfolio's view if not given. Without one nothing is known of the market: only what reduces a position
            may leave.
        """
        asked, account = order_view(order), portfolio_view(portfolio)
        sees = account.market if market is None else market
        for guard in self.guards:
            rejection = guard.judge(asked, account, sees).rejection
            if rejection is not None:
                return rejection
        return None

    def check_all_detailed(
        self, order: AnyOrder, portfolio: Portfolio | PortfolioView, market: MarketView | None = None
    ) -> tuple[CheckResult, ...]:
        """Return what every guard measures, whether one refuses or not; the first that does decides."""
        asked, account = order_view(order), portfolio_view(portfolio)
        sees = account.market if market is None else market
        return tuple(guard.judge(asked, account, sees) for guard in self.guards)


def create_default_guards(**limits: Any) -> GuardRegistry:
    """Return all guards with the limits of their table, but for those that are given; `Cooldown` if it is given.

    Parameters
    ----------
    **limits
        Fields of `GuardSettings`, such as ``max_daily_loss=1_000``; Decimal, int or float.

    Raises
    ------
    ConfigurationError
        Naming every limit that is unknown or out of its range.

    Examples
    --------
    >>> guards = create_default_guards(max_daily_loss=500, blacklist=("GME",))
    >>> len(guards.guards)
    12
    """
    return GuardRegistry.of(build_settings(GuardSettings, limits, "guards"))
