"""How long an order takes: from the event to the decision, to the submission, to the broker's acknowledgement.

Each stage is a series of ``order_latency_seconds`` and, for a session's closing report, a summary with quantiles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_SECOND
from fairlead.telemetry.families import ORDER_LATENCY
from fairlead.telemetry.metrics import Metrics
from fairlead.telemetry.quantiles import QuantileSummary, Summary

EVENT_TO_DECISION: Final = "event_to_decision"
DECISION_TO_SUBMIT: Final = "decision_to_submit"
SUBMIT_TO_ACK: Final = "submit_to_ack"
# The one that domain section 15 limits: from the intent to the acknowledgement.
DECISION_TO_ACK: Final = "decision_to_ack"
STAGES: Final = (EVENT_TO_DECISION, DECISION_TO_SUBMIT, SUBMIT_TO_ACK, DECISION_TO_ACK)
MAX_PENDING: Final = 10_000


class OrderLatency:
    """Times orders by stage. Submissions and acknowledgements may come from different threads.

    Parameters
    ----------
    metrics : Metrics
    tick : callable returning int
        A monotonic counter in nanoseconds; the one that also marked the arrival of events.
    max_pending : int
        How many orders may be on their way at once; beyond it the oldest is given up, and counted as `lost`.
    """

    def __init__(
        self, metrics: Metrics, tick: Callable[[], int] = time.perf_counter_ns, max_pending: int = MAX_PENDING
    ) -> None:
        if max_pending < 1:
            raise ConfigurationError.of("max_pending", "be at least 1", max_pending)
        histogram = metrics.histogram(ORDER_LATENCY)
        self._series: Final = {stage: (histogram.labels(stage), QuantileSummary()) for stage in STAGES}
        self._tick = tick
        self._max_pending = max_pending
        # Instants of the decision and, once there is one, of the submission; in the order of decisions.
        self._pending: dict[str, tuple[int, int | None]] = {}
        self._lock = threading.Lock()
        self.lost = 0

    @property
    def pending(self) -> int:
        """How many orders were decided and are neither acknowledged nor forgotten."""
        return len(self._pending)

    def processed(self, event_tick: int) -> None:
        """Note that the decision on an event is made, be it to do nothing.

        Parameters
        ----------
        event_tick : int
            What `tick` showed when the event arrived.
        """
        with self._lock:
            self._observe(EVENT_TO_DECISION, self._tick() - event_tick)

    def decided(self, order_id: str, at: int | None = None) -> None:
        """Note that a strategy has decided on an order.

        Parameters
        ----------
        at : int, optional
            What `tick` showed then, where the order got its name later; now if not given.
        """
        now = self._tick() if at is None else at
        with self._lock:
            if order_id not in self._pending and len(self._pending) >= self._max_pending:
                del self._pending[next(iter(self._pending))]
                self.lost += 1
            self._pending[order_id] = (now, None)

    def submitted(self, order_id: str) -> None:
        """Note that an order was handed to the broker. An unknown one is ignored, as is the second time."""
        now = self._tick()
        with self._lock:
            decided, submitted = self._pending.get(order_id, (None, None))
            if decided is not None and submitted is None:
                self._pending[order_id] = (decided, now)
                self._observe(DECISION_TO_SUBMIT, now - decided)

    def acknowledged(self, order_id: str, travelled_ns: int | None = None) -> None:
        """Note that the broker has acknowledged an order. An unknown one, or a second callback, is ignored.

        Parameters
        ----------
        travelled_ns : int, optional
            From the submission to the acknowledgement as a simulated venue says it, where nobody waits for an answer; until now
            if not given.
        """
        now = self._tick()
        with self._lock:
            decided, submitted = self._pending.pop(order_id, (None, None))
            if decided is None:
                return
            if submitted is not None and travelled_ns is not None:
                now = submitted + travelled_ns
            # A callback may overtake the return of the call that submitted.
            if submitted is not None:
                self._observe(SUBMIT_TO_ACK, now - submitted)
            self._observe(DECISION_TO_ACK, now - decided)

    def forget(self, order_id: str) -> None:
        """Note that an order will not be acknowledged: it was refused, rejected or given up."""
        with self._lock:
            self._pending.pop(order_id, None)

    def report(self) -> dict[str, Summary]:
        """Return the summary of each stage, in seconds."""
        with self._lock:
            return {stage: summary.summary() for stage, (_, summary) in self._series.items()}

    def _observe(self, stage: str, ns: int) -> None:
        histogram, summary = self._series[stage]
        seconds = ns / NS_PER_SECOND
        histogram.observe(seconds)
        summary.add(seconds)
