"""What a guard is: one row of the table of domain rule 7.1."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple

from fairlead.core.portfolio import Portfolio
from fairlead.risk.guards.settings import GuardSettings
from fairlead.risk.guards.views import UNKNOWN, AnyOrder, MarketView, OrderView, PortfolioView, order_view
from fairlead.risk.rejection import Rejection

NO_DATA: Final = "no_market_data"


class Finding(NamedTuple):
    """What was measured, and the reason to refuse; an empty one lets the order pass."""

    reason: str = ""
    measured: float = UNKNOWN
    limit: float = UNKNOWN


PASSED: Final = Finding()


class CheckResult(NamedTuple):
    """What one guard, or one row of the validator, found.

    Parameters
    ----------
    guard : str
        Id and name, such as ``G4 MaxDailyLoss``.
    reason : str
        Why the order is refused; empty if it passes.
    is_exempt : bool
        Whether it was let pass because it only reduces a position.
    """

    guard: str
    reason: str = ""
    measured: float = UNKNOWN
    limit: float = UNKNOWN
    is_exempt: bool = False

    @property
    def rejection(self) -> Rejection | None:
        """The refusal, or None."""
        return Rejection(self.reason, self.measured, self.limit, self.guard) if self.reason else None


class Guard(ABC):
    """One check before an order leaves. It keeps nothing: the same order, account and market give the same answer.

    Parameters
    ----------
    settings : GuardSettings
    """

    __slots__ = ("_limits",)

    guard_id: ClassVar[str]
    name: ClassVar[str]
    spares_exits: ClassVar[bool] = False
    """Whether orders that only reduce a position pass: otherwise a limit would block the exit that it calls for."""

    def __init__(self, settings: GuardSettings) -> None:
        self._limits = settings

    @property
    def title(self) -> str:
        """Id and name, as they stand in a rejection."""
        return f"{self.guard_id} {self.name}"

    def check(self, order: AnyOrder, portfolio: Portfolio | PortfolioView, market: MarketView | None) -> Rejection | None:
        """Return why an order must not leave, or None.

        Parameters
        ----------
        order : Order, CanonicalOrder or OrderView
        portfolio : Portfolio or PortfolioView
        market : MarketView, optional
            That of the portfolio's view if not given; without one nothing is known of the symbol's market.
        """
        account = portfolio_view(portfolio)
        return self.judge(order_view(order), account, account.market if market is None else market).rejection

    def judge(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> CheckResult:
        """Return what the guard measures, whether it refuses or not."""
        if self.spares_exits and portfolio.adds_nothing(order):
            return CheckResult(self.title, is_exempt=True)
        reason, measured, limit = self._find(order, portfolio, market)
        return CheckResult(self.title, reason, float(measured), float(limit))

    @abstractmethod
    def _find(self, order: OrderView, portfolio: PortfolioView, market: MarketView | None) -> Finding:
        """Return what is measured of an order that is not exempt."""


def portfolio_view(portfolio: Portfolio | PortfolioView) -> PortfolioView:
    """Return the view of an account; a ledger is an account in which no order works."""
    return PortfolioView.of(portfolio) if isinstance(portfolio, Portfolio) else portfolio
