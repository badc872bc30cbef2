"""Measure what telemetry costs a session on this machine: `python benchmarks/telemetry.py`.

Microseconds of processor time for one call, the least of many runs. Exits 1 if an update of a metric takes two or more.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from fairlead.telemetry import Heartbeat, Logs, LogSettings, Metrics, OrderLatency, QuantileSummary
from fairlead.telemetry.families import FILLS, ORDER_LATENCY, ORDERS_SENT, QUOTE_AGE
from machine import describe_machine

LIMIT_US = 2.0


def main() -> int:
    """Measure and print."""
    metrics = Metrics(CollectorRegistry())
    metrics.declare()
    sent, age, latency = metrics.counter(ORDERS_SENT), metrics.gauge(QUOTE_AGE), metrics.histogram(ORDER_LATENCY)
    fills, summary = metrics.counter(FILLS), QuantileSummary()
    updates = {
        "counter": microseconds(fills.inc),
        "counter_by_labels": microseconds(lambda: sent.labels("sma", "BUY").inc()),
        "gauge_by_label": microseconds(lambda: age.labels("AAPL").set(0.5)),
        "histogram_by_label": microseconds(lambda: latency.labels("submit_to_ack").observe(0.3)),
        "quantile_summary": microseconds(lambda: summary.add(0.3)),
        "heartbeat": microseconds(Heartbeat().beat),
    }
    results = {"machine": describe_machine(), "updates_us": updates, "order_us": order(metrics), "log_us": log_lines()}
    print(json.dumps(results, indent=2, sort_keys=True))
    slow = [name for name, taken in updates.items() if taken >= LIMIT_US]
    if slow:
        print(f"not below {LIMIT_US} microseconds: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


def microseconds(call: Callable[[], object], number: int = 20_000) -> float:
    """Return what one call takes."""
    return round(min(timeit.repeat(call, number=number, repeat=9, timer=time.process_time)) / number * 1e6, 3)


def order(metrics: Metrics) -> float:
    """Return what the four stages of an order take together."""
    latency = OrderLatency(metrics)

    def one() -> None:
        latency.processed(0)
        latency.decided("a")
        latency.submitted("a")
        latency.acknowledged("a")

    return microseconds(one)


def log_lines() -> dict[str, float]:
    """Return what a line takes that is written to a file, and one below the level."""
    with tempfile.TemporaryDirectory() as folder:
        settings = LogSettings(path=Path(folder) / "session.log", console="off")
        with Logs(settings, time.monotonic_ns, stream=io.StringIO()) as logs:
            log = logs.logger("execution", run_id="paper_DU1_2024-01-02_sma", mode="paper", strategy="sma")
            written = microseconds(lambda: log.info("order_sent", message="Bought 5.", symbol="AAPL", price=1.5), 2_000)
            return {"written": written, "below_the_level": microseconds(lambda: log.debug("tick", symbol="AAPL"))}


if __name__ == "__main__":
    sys.exit(main())
