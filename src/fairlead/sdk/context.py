"""`Context`: a strategy's only window on the world."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from fairlead.contracts.sessions import HoursOf, SessionHours
from fairlead.core.errors import ConfigurationError
from fairlead.core.orders import Order
from fairlead.core.portfolio import Portfolio, Position
from fairlead.core.time import to_datetime, to_ns
from fairlead.sdk.features import FeatureView
from fairlead.sdk.history import HistoricalData
from fairlead.sdk.limits import RiskLimits


class PortfolioView:
    """A strategy's own capital and positions, read only."""

    __slots__ = ("_ledger",)

    def __init__(self, ledger: Portfolio) -> None:
        self._ledger = ledger

    @property
    def cash(self) -> float:
        """Cash in account currency."""
        return self._ledger.cash

    @property
    def equity(self) -> float:
        """Cash plus positions at their last known prices."""
        return self._ledger.equity

    @property
    def positions(self) -> Mapping[str, Position]:
        """Open positions by symbol."""
        return MappingProxyType({s: p for s, p in self._ledger.positions.items() if p.quantity})

    def quantity(self, symbol: str) -> float:
        """Signed units held of `symbol`; 0.0 if none."""
        return self._ledger.quantity(symbol)

    def weight(self, symbol: str) -> float:
        """Signed value held of `symbol` as a fraction of equity; 0.0 if none."""
        position = self._ledger.positions.get(symbol)
        if position is None or position.quantity == 0.0:
            return 0.0
        return position.market_value(self._ledger.marks[symbol]) / self._ledger.equity

    @property
    def gross_exposure(self) -> float:
        """Sum of absolute market values, in currency."""
        return self._ledger.gross_exposure

    @property
    def net_exposure(self) -> float:
        """Sum of signed market values, in currency."""
        return self._ledger.net_exposure

    @property
    def leverage(self) -> float:
        """Gross exposure divided by equity."""
        return self._ledger.leverage

    @property
    def realised_pnl(self) -> float:
        """Realised profit before commissions, in currency."""
        return self._ledger.realised_pnl

    @property
    def unrealised_pnl(self) -> float:
        """Profit of open positions at their last known prices, in currency."""
        return self._ledger.unrealised_pnl

    def buying_power(self, max_leverage: float = 1.0) -> float:
        """Currency still available for new positions."""
        return self._ledger.buying_power(max_leverage)

    def __repr__(self) -> str:
        return repr(self._ledger).replace("Portfolio", "PortfolioView")


class Context:
    """What a strategy may know and use at one instant.

    Attributes
    ----------
    portfolio : PortfolioView
        Its own capital and positions.
    historical_data : HistoricalData
        Closed bars up to now.
    features : FeatureView
        Current values of the features that the strategy declares.
    metadata : dict
        The strategy's own notes, JSON-able; checkpoints carry them.
    risk_limits : RiskLimits
        The limits in force.
    random : numpy.random.Generator
        The only randomness it may use: seeded, and its own.
    symbols : tuple of str
        Every symbol of the run.
    """

    __slots__ = (
        "_hours",
        "_now_ns",
        "_orders",
        "_universe",
        "features",
        "historical_data",
        "metadata",
        "portfolio",
        "random",
        "risk_limits",
        "symbols",
    )

    def __init__(
        self,
        *,
        portfolio: PortfolioView,
        historical_data: HistoricalData,
        now_ns: Callable[[], int],
        symbols: Sequence[str],
        risk_limits: RiskLimits,
        random: np.random.Generator,
        open_orders: Callable[[], Sequence[Order]],
        features: FeatureView,
        universe: Callable[[], tuple[str, ...]] | None = None,
        metadata: dict[str, Any] | None = None,
        session_hours: HoursOf | None = None,
    ) -> None:
        self.portfolio = portfolio
        self.historical_data = historical_data
        self.features = features
        self.metadata = metadata if metadata is not None else {}
        self.risk_limits = risk_limits
        self.random = random
        self.symbols = tuple(symbols)
        self._now_ns = now_ns
        self._orders = open_orders
        self._universe = universe
        self._hours = session_hours

    @property
    def current_time(self) -> dt.datetime:
        """The instant of the current event, UTC."""
        return to_datetime(self._now_ns())

    @property
    def current_ns(self) -> int:
        """The instant of the current event, in nanoseconds."""
        return self._now_ns()

    def session_at(self, instant: dt.datetime | int) -> SessionHours | None:
        """Return the exchange session that an instant lies in, None outside of sessions.

        Hours are published ahead, so that a session's close is known at its open. A bar lies in the session of its label: its
        end may be the close, which is outside.

        Parameters
        ----------
        instant : datetime or int
            With a time zone, or in nanoseconds.
        """
        if self._hours is None:
            raise ConfigurationError("this context knows no exchange calendar. Give it session_hours=...")
        return self._hours(instant if isinstance(instant, int) else to_ns(instant))

    @property
    def universe(self) -> tuple[str, ...]:
        """The symbols that one could have chosen from today; all of the run if it has no universe.

        Nothing is refused because it is not among them: to sell what has left is the strategy's own business, and so is to buy
        what never belonged.
        """
        return self.symbols if self._universe is None else self._universe()

    @property
    def open_orders(self) -> Sequence[Order]:
        """The strategy's working orders, oldest first. Read them; return a `CancelIntent` to take one back."""
        return self._orders()
