"""A session's numbers for Prometheus, and its signs of life (domain rules 16.1, 16.3)."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from fairlead import __version__
from fairlead.core.fills import Fill
from fairlead.core.flows import NetOfFlows
from fairlead.core.orders import Order, OrderStatus, OrderUpdate
from fairlead.core.redaction import Secrets
from fairlead.data.live import FeedNotice, NoticeKind
from fairlead.engine.runner import StrategyRunner
from fairlead.execution.reconciliation import Difference
from fairlead.risk.monitors import Level, Reading
from fairlead.telemetry import families
from fairlead.telemetry.endpoints import Endpoints, EndpointSettings
from fairlead.telemetry.health import Heartbeat, Readiness
from fairlead.telemetry.metrics import Metrics

READY: Final = ("data_fresh", "state_loaded", "kill_latch")
"""What a session on paper must have before it takes on risk; bus and broker come with what has them."""
_STATES: Final = {Level.OK: 0.0, Level.WARNING: 1.0, Level.UNKNOWN: 1.0, Level.CRITICAL: 2.0}
_BPS: Final = 1e4


class SessionGauges:
    """Counts what a session does.

    Parameters
    ----------
    secrets : Secrets
        What no answer may show.

    Attributes
    ----------
    heartbeat : Heartbeat
    readiness : Readiness
    metrics : Metrics
        What ``/metrics`` shows.
    """

    def __init__(self, secrets: Secrets) -> None:
        self.heartbeat = Heartbeat()
        self.readiness = Readiness(READY, secrets)
        self.metrics = self._metrics = Metrics(CollectorRegistry())
        self._metrics.gauge(families.BUILD_INFO).labels(__version__, platform.python_version()).set(1)
        self._orders: dict[str, Order] = {}
        self._net = NetOfFlows()
        self._equity = 0.0
        self._peak = float("-inf")
        self._duplicates = 0
        self._was_connected = 0
        self._reported: dict[str, str | None] = {}

    def endpoints(self, port: int) -> Endpoints:
        """Return the server of ``/metrics``, ``/health`` and ``/ready`` on this machine; it is not started yet."""
        return Endpoints(EndpointSettings(port=port), self._metrics, self.heartbeat, self.readiness)

    def alive(self, **problems: str | None) -> None:
        """Give a sign of life, and say how each check of `READY` stands; called between any two events."""
        self.heartbeat.beat()
        if problems != self._reported:
            self._reported = problems
            for name, problem in problems.items():
                self.readiness.report(name, problem)

    def heard(self, fact: Order | OrderUpdate | Fill) -> None:
        """Count one thing that happened to an order."""
        if isinstance(fact, Order):
            self._orders[fact.order_id] = fact
        elif isinstance(fact, Fill):
            self._metrics.counter(families.FILLS).inc()
            if fact.price_ideal > 0.0:
                self._metrics.histogram(families.SLIPPAGE).observe(_BPS * fact.slippage / fact.price_ideal)
        elif fact.status is OrderStatus.SUBMITTED:
            order = self._orders[fact.order_id]
            self._metrics.counter(families.ORDERS_SENT).labels(order.strategy, order.side.value).inc()
        elif fact.status is OrderStatus.CANCELLED:
            self._metrics.counter(families.CANCELS).inc()
        elif fact.status is OrderStatus.REJECTED:
            guard, _, rest = fact.reason.partition(" ")
            if rest and guard[:1] in {"G", "V"} and guard[1:].isdigit():
                self._metrics.counter(families.GUARD_REJECTIONS).labels(guard).inc()
            else:
                self._metrics.counter(families.REJECTS).labels(fact.reason.partition(":")[0]).inc()

    def marked(self, runners: Sequence[StrategyRunner], session_start: float) -> None:
        """Show what the books are worth.

        Parameters
        ----------
        session_start : float
            Equity at the start of the session of trading, and what was paid in since, in currency.
        """
        metrics, books = self._metrics, [runner.ledger for runner in runners]
        equity, initial = sum(book.equity for book in books), sum(book.initial_cash for book in books)
        self._equity, net = equity, self._net.of(equity)
        self._peak = max(self._peak, net)
        exposures = [book.exposures() for book in books]
        metrics.counter(families.CYCLES).inc()
        for runner in runners:
            metrics.gauge(families.STRATEGY_PNL).labels(runner.name).set(runner.ledger.equity - runner.ledger.capital)
        for family, value in (
            (families.PORTFOLIO_VALUE, equity),
            (families.CASH_BALANCE, sum(book.cash for book in books)),
            (families.POSITIONS_COUNT, sum(1 for book in books for p in book.positions.values() if p.quantity)),
            (families.PNL_CURRENT, net / initial - 1.0 if initial else 0.0),
            (families.DAILY_PNL, equity - session_start),
            (families.DRAWDOWN_CURRENT, 1.0 - net / self._peak if self._peak > 0.0 else 0.0),
            (families.GROSS_EXPOSURE, sum(gross for _, gross in exposures) / equity if equity else 0.0),
            (families.NET_EXPOSURE, sum(net for net, _ in exposures) / equity if equity else 0.0),
        ):
            metrics.gauge(family).set(value)

    def cash_flow(self, amount: float) -> None:
        """Count money that was paid in, or (below 0) out, since the books were marked: no profit and no loss."""
        self._net.paid(self._equity, self._equity + amount)
        self._equity += amount

    def repeated(self, duplicates: int) -> None:
        """Show how many reports of orders came again, since the start."""
        self._metrics.counter(families.ORDER_DUPLICATES).inc(duplicates - self._duplicates)
        self._duplicates = duplicates

    def differed(self, differences: Iterable[Difference]) -> None:
        """Count in what the books differed from the broker's."""
        for difference in differences:
            self._metrics.counter(families.RECONCILIATION_MISMATCHES).labels(difference.kind.value).inc()

    def judged(self, reading: Reading) -> None:
        """Show how a kill switch of the session stands."""
        if not reading.strategy:
            self._metrics.gauge(families.KILL_SWITCH_STATE).labels(reading.switch.value).set(_STATES[reading.level])

    def noticed(self, notice: FeedNotice) -> None:
        """Count what a feed says of itself: connections after the first, and gaps that stay."""
        if notice.kind is NoticeKind.GAP:
            self._metrics.counter(families.DATA_GAPS).inc()
        elif notice.kind is NoticeKind.CONNECTED:
            self._metrics.counter(families.RECONNECTS).inc(self._was_connected)
            self._was_connected = 1

    def failed(self, component: str) -> None:
        """Count an error that a session goes on without."""
        self._metrics.counter(families.ERRORS).labels(component).inc()

    def tripped(self, switch: str) -> None:
        """Count a halt."""
        self._metrics.counter(families.KILL_SWITCHES).labels(switch).inc()
