"""What a run leaves behind in memory: the raw material of results, reports and comparisons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.events import CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order, OrderUpdate
from fairlead.engine.stages import Stage
from fairlead.risk.guards.base import CheckResult


@dataclass(frozen=True, slots=True, eq=False)
class EquityCurve:
    """Account values at every instant of a run; arrays of shape (n,), currency.

    Attributes
    ----------
    ts_ns : int64
        The instants, strictly increasing.
    session : int32
        Exchange-local session date of each, in days since the epoch.
    equity, cash, gross, net : float64
        Equity, cash, gross and net exposure after the fills of the instant, marked at its closes.
    """

    ts_ns: IntArray
    session: DayArray
    equity: FloatArray
    cash: FloatArray
    gross: FloatArray
    net: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class SessionPrices:
    """Last raw price of each symbol at the end of every session, for benchmarks and charts.

    Attributes
    ----------
    session : int32 array of shape (s,)
    ts_ns : int64 array of shape (s,)
        The last instant of each session.
    mark : float64 array of shape (s, k)
        NaN before a symbol's first bar.
    """

    symbols: tuple[str, ...]
    session: DayArray
    ts_ns: IntArray
    mark: FloatArray


class FinancingCharge(NamedTuple):
    """What the days before a session have cost one strategy, in currency.

    Parameters
    ----------
    interest : float
        On cash; positive if it was received.
    borrow_fees : float
        For shares that were sold short; 0 or less.
    """

    ts_ns: int
    strategy: str
    interest: float
    borrow_fees: float

    @property
    def total(self) -> float:
        """What was added to cash."""
        return self.interest + self.borrow_fees


class CashFlow(NamedTuple):
    """Money that was paid into the book of a strategy, or taken out of it, between two instants: no profit and no loss.

    Parameters
    ----------
    ts_ns : int
        The instant after which it was; the curves have it from that instant on.
    amount : float
        In currency; below 0 if it was taken out.
    """

    ts_ns: int
    strategy: str
    amount: float


@dataclass(frozen=True, slots=True)
class AppliedAction:
    """A corporate action as it met one strategy's position.

    Attributes
    ----------
    quantity_before, quantity_after : float
        Signed units of the action's symbol.
    cash : float
        Received, or paid by a short: a dividend, or the proceeds of a merger or a delisting; in currency.
    other_quantity : float
        Signed units of the action's other symbol that came in.
    cost_fraction : float
        The part of the position's cost that went with them.
    in_kind : float
        What they were worth, in currency, if they came in as a dividend: of a child that had no price when it was spun off.
    """

    ts_ns: int
    strategy: str
    action: CorporateAction
    quantity_before: float
    quantity_after: float
    cash: float
    other_quantity: float = 0.0
    cost_fraction: float = 0.0
    in_kind: float = 0.0


class OrderChecks(NamedTuple):
    """What validator and guards found of one order.

    Parameters
    ----------
    ts_ns : int
        When they were asked.
    outcome : {'accepted', 'warned', 'rejected'}
        ``warned``: the order was refused and left nevertheless, because that is the level of enforcement.
    reason : str
        The first refusal, as text; empty if there is none.
    results : tuple of CheckResult
        Everything that was measured, in the order of the checks.
    """

    order_id: str
    strategy: str
    symbol: str
    ts_ns: int
    outcome: Literal["accepted", "warned", "rejected"]
    reason: str
    results: tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True)
class StrategyOutcome:
    """One strategy of a run: what it was, and how it ended."""

    name: str
    version: str
    params: dict[str, object]
    capital: float
    status: Literal["completed", "stopped"]
    error: str = ""
    """Empty, or the exception that stopped it, with the line of the strategy that raised."""


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionPrices:
    """The prices against which executions are judged, in currency; NaN where they are not known.

    Attributes
    ----------
    arrival : float64 array of shape (orders,)
        The last price known when each order was decided, in the units of that instant.
    bar : float64 array of shape (fills, 5)
        Open, high, low, close and volume of the bar in which each fill happened.
    mid : float64 array of shape (fills,)
        Middle of bid and offer at each fill; known only to runs on quotes.
    """

    arrival: FloatArray
    bar: FloatArray
    mid: FloatArray


Fact: TypeAlias = OrderIntent | CancelIntent | ReplaceIntent | OrderUpdate | Fill | AppliedAction | CorporateAction
"""What can be written down of a run: a wish, a change of an order, an execution, an action that met a position or the data."""


class LoggedEvent(NamedTuple):
    """One thing that happened in a run.

    Parameters
    ----------
    instant_ns : int
        Where the loop stood. An order update may carry an earlier stamp of its own: that of its arrival.
    stage : Stage
    strategy : str
        Whose it is; empty for what happened in the market.
    """

    instant_ns: int
    stage: Stage
    strategy: str
    fact: Fact


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """Everything that happened in a run, in order.

    Attributes
    ----------
    account : EquityCurve
        All strategies together.
    by_strategy : dict of str to EquityCurve
    applied_actions : list of AppliedAction
        Those that met a position.
    market_actions : list of CorporateAction
        All that took effect in the run's data, in that order. Each is dated with the session in which it took effect: the
        symbol's first with a bar at or after its ex-session.
    bars : int
        Bars delivered.
    stage_seconds : dict of str to float
        Seconds per stage of the loop, when timed; empty otherwise.
    digest : str
        Hash of the ordered decisions, orders and fills.
    execution_prices : ExecutionPrices, optional
        What executions are judged against; None if the run was kept by a version that did not note it.
    financing : list of FinancingCharge
        Interest and loan fees, in order.
    cash_flows : list of CashFlow
        What was paid in and taken out while it ran, in order.
    order_checks : list of OrderChecks
        Of every order that validator or guards refused; if the run was recorded, of those that they accepted too.
    events : list of LoggedEvent, optional
        Everything in the order in which it happened, intents included; None unless the run was recorded.
    """

    run_id: str
    initial_cash: float
    strategies: tuple[StrategyOutcome, ...]
    account: EquityCurve
    by_strategy: dict[str, EquityCurve]
    prices: SessionPrices
    orders: list[Order]
    updates: list[OrderUpdate]
    fills: list[Fill]
    applied_actions: list[AppliedAction]
    market_actions: list[CorporateAction]
    bars: int
    digest: str
    stage_seconds: dict[str, float] = field(default_factory=dict)
    execution_prices: ExecutionPrices | None = None
    events: list[LoggedEvent] | None = None
    financing: list[FinancingCharge] = field(default_factory=list)
    order_checks: list[OrderChecks] = field(default_factory=list)
    cash_flows: list[CashFlow] = field(default_factory=list)
