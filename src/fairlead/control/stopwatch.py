"""How long a session takes: from what arrives to the decisions on it, and from a decision to the venue's word on the order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from prometheus_client import CollectorRegistry

from fairlead.core.events import Bar
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order, OrderStatus, OrderUpdate
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.live import Received
from fairlead.engine.attendance import Attendant, SessionParts
from fairlead.engine.reportline import ReportLine
from fairlead.engine.runner import StrategyRunner
from fairlead.engine.stages import Stage
from fairlead.risk.guards import LimitScale
from fairlead.telemetry.families import CYCLE_DURATION, EVENT_PROCESSING, STAGE_DURATION
from fairlead.telemetry.latency import OrderLatency
from fairlead.telemetry.metrics import Metrics
from fairlead.telemetry.quantiles import QuantileSummary

Wishes = Sequence[OrderIntent | CancelIntent | ReplaceIntent]
EVENT_PROCESSED: Final = "event_processing"
_STAGES: Final = (Stage.EXECUTION, Stage.MONITORS, Stage.MARKET)
"""Up to the attendant's turn, that turn, and what is left: the strategies with their orders, and the record."""


class Stopwatch:
    """Takes the times of a session's instants and orders.

    Parameters
    ----------
    metrics : Metrics, optional
        Where they are shown.
    now_ns : callable, optional
        The clock that stamps what arrives, nanoseconds. None where history is played again: what is taken arrives then.
    counter : callable
        Counts nanoseconds where no clock is given.
    waits_for_answers : bool
        Whether orders go to a broker, which answers when it does; a simulated venue says by its stamps how long it took.
    """

    def __init__(
        self,
        metrics: Metrics | None = None,
        now_ns: Callable[[], int] | None = None,
        counter: Callable[[], int] = time.perf_counter_ns,
        *,
        waits_for_answers: bool = False,
    ) -> None:
        shown = Metrics(CollectorRegistry()) if metrics is None else metrics
        self._waits = waits_for_answers
        self._is_stamped = now_ns is not None
        self._tick = counter if now_ns is None else now_ns
        self._latency = OrderLatency(shown, self._tick)
        self._stages = [shown.histogram(STAGE_DURATION).labels(stage.name.lower()) for stage in _STAGES]
        self._cycle, self._processing = shown.histogram(CYCLE_DURATION), shown.histogram(EVENT_PROCESSING)
        self._whole = QuantileSummary()
        self._first: dict[int, int] = {}
        self._last_ns = self._entered_ns = self._watched_ns = 0
        self._is_completed = self._is_under_way = self._has_decided = False
        self._began_ns = 0
        self._decided: dict[str, int] = {}
        self._created: dict[str, int] = {}

    # What the feed and the loop tell.

    def seen(self, received: Received) -> None:
        """Note when something arrived."""
        self._last_ns = at = received.received_ns if self._is_stamped else self._tick()
        self._is_completed = True
        if type(received.event) is Bar:
            self._first.setdefault(received.event.known_ns, at)

    def entered(self, known_ns: int) -> None:
        """Note that the market has met the orders at an instant."""
        self._entered_ns, self._is_under_way, self._has_decided = self._tick(), True, False
        self._began_ns = self._first.pop(known_ns, self._entered_ns)
        # What is late, or was amended, opens no instant any more.
        for gone in [stamp for stamp in self._first if stamp < known_ns]:
            del self._first[gone]

    def watched(self) -> None:
        """Note that the attendant has had its turn."""
        self._watched_ns = self._tick()

    def idle(self) -> bool:
        """Note that whatever was under way is over, and return whether something was."""
        was_under_way, self._is_under_way = self._is_under_way, False
        if was_under_way:
            self._over(self._tick())
        self._is_completed = False
        return was_under_way

    def _over(self, now: int) -> None:
        # An instant that silence has completed was decided on when nothing more was waited for: no event to count from.
        since = self._last_ns if self._is_completed else self._entered_ns
        if self._is_completed and not self._has_decided:
            self._latency.processed(since)
        ticks = (since, self._entered_ns, self._watched_ns, now)
        for series, begin, end in zip(self._stages, ticks, ticks[1:], strict=False):
            series.observe(_seconds(begin, end))
        self._cycle.observe(_seconds(self._entered_ns, now))
        whole = _seconds(self._began_ns, now)
        self._processing.observe(whole)
        self._whole.add(whole)

    # What becomes of orders.

    def decided(self, strategy: str) -> None:
        """Note that a strategy wants something; what nobody decided on is decided on when the instant is over."""
        self._decided[strategy] = self._tick()
        if self._is_completed and self._is_under_way:
            self._has_decided = True
            self._latency.processed(self._last_ns)

    def acted(self, strategy: str, orders: Sequence[Order]) -> None:
        """Note the orders that came of a decision; those that left were handed to the venue just now."""
        at = self._decided.pop(strategy, None)
        for order in orders:
            if at is not None and order.status is OrderStatus.SUBMITTED:
                self._latency.decided(order.order_id, at)
                if not self._waits:
                    self._latency.submitted(order.order_id)
                self._created[order.order_id] = order.created_ns

    def sent(self, references: Sequence[str]) -> None:
        """Note that orders have left for a broker; called in the thread that sends."""
        for reference in references:
            self._latency.submitted(reference)

    def heard(self, fact: Order | OrderUpdate | Fill) -> None:
        """Hear of a change of an order; a simulated venue says by its stamps how long the order was on its way."""
        if not isinstance(fact, OrderUpdate) or fact.status is OrderStatus.SUBMITTED:
            return
        created = self._created.pop(fact.order_id, None)
        if created is not None and fact.status is OrderStatus.ACKNOWLEDGED:
            self._latency.acknowledged(fact.order_id, None if self._waits else fact.ts_ns - created)
        elif created is not None:
            self._latency.forget(fact.order_id)

    def report(self) -> dict[str, Any]:
        """Return count, mean, quantiles and maximum of each stage of orders, and of whole instants, in seconds."""
        found = {stage: asdict(summary) for stage, summary in self._latency.report().items()}
        return {**found, EVENT_PROCESSED: asdict(self._whole.summary())}


def _seconds(begin: int, end: int) -> float:
    # A clock that was set back in between tells nothing; a time below zero would be a lie.
    return max(0, end - begin) / NS_PER_SECOND


class TimedAttendant:
    """An attendant whose session is timed.

    Parameters
    ----------
    attendant : Attendant
        Does what is to be done.
    stopwatch : Stopwatch
    """

    def __init__(self, attendant: Attendant, stopwatch: Stopwatch) -> None:
        self._attendant, self._stopwatch = attendant, stopwatch
        self._known = 0

    @property
    def line(self) -> ReportLine:
        """The way of reports from the venue to the desk."""
        return self._attendant.line

    def scale(self, strategy: str) -> LimitScale:
        """Return what limits are multiplied with."""
        return self._attendant.scale(strategy)

    def begin(self, parts: SessionParts) -> None:
        """Take in the session."""
        self._cursor, self._orders = parts.cursor, parts.desk.orders
        self._attendant.begin(parts)

    def instant(self, row: int) -> None:
        """Look at what the market has done to the orders."""
        self._stopwatch.entered(self._cursor.known_ns)
        self._attendant.instant(row)
        self._stopwatch.watched()

    def wanted(self, runner: StrategyRunner, intents: Wishes) -> Wishes:
        """Return what may be acted on of what a strategy wants."""
        self._stopwatch.decided(runner.name)
        self._known = len(self._orders)
        return self._attendant.wanted(runner, intents)

    def acted(self, runner: StrategyRunner) -> None:
        """Note that what a strategy wanted has been acted on."""
        self._stopwatch.acted(runner.name, self._orders[self._known :])
        self._attendant.acted(runner)

    def veto(self, strategy: str, *, only_reduces: bool) -> str | None:
        """Return why no order of a strategy may leave."""
        return self._attendant.veto(strategy, only_reduces=only_reduces)

    def end(self) -> None:
        """Write down what the end of the session brought with it."""
        self._attendant.end()
