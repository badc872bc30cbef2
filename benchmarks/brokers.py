"""Offer orders at a steady rate to a broker to practise on: `python benchmarks/brokers.py [BROKER ...] [--write NAME]`.

The server is a process of its own, and what is measured is the link of a session: pacing, adapter and the official client's
protocol. Orders rest far from the market. Told are how long an order waits until its bytes leave, how long until the broker's
acknowledgement is heard, and whether the rate was kept. The gate: every order is at the server once, none was refused, and the
broker never said that it was too much. Exits 1 if that, or a target, does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from fairlead.core.orders import OrderStatus, OrderType, Side
from fairlead.core.time import to_ns
from fairlead.engine.clock import WallClock
from fairlead.execution.brokers.calls import Submit
from fairlead.execution.brokers.link import BrokerLink
from fairlead.execution.brokers.opening import AccountKeys, broker_kind
from fairlead.execution.brokers.reports import BrokerReport, ReportKind
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.words import OrderRequest
from fairlead.telemetry import QuantileSummary
from machine import describe_machine

RATES = {"ibkr": 50.0, "alpaca": 1.0}
"""Orders a second: at Interactive Brokers what its pacing allows, at Alpaca a third of it, as the books are asked for too."""
SENT_P95_S, ACK_MEDIAN_S, ACK_P95_S = 0.020, 0.250, 0.600
KEPT = 0.98
"""How much of the offered rate must be kept."""


_CLOCK = WallClock()


def _now_ns() -> int:
    return to_ns(_CLOCK.now())


def main() -> int:
    """Measure, print, and write the results if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("broker", nargs="*", help="ibkr, alpaca; both by default")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long orders are offered to each (default 30)")
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    given = parser.parse_args()
    names = given.broker or sorted(RATES)
    if unknown := set(names) - RATES.keys():
        parser.error(f"no broker named {', '.join(sorted(unknown))}. Known: {', '.join(sorted(RATES))}")
    if not given.seconds > 0:
        parser.error(f"--seconds must be above 0, was {given.seconds}")
    if given.write and not given.write.isidentifier():
        parser.error(f"--write must be a plain name, was {given.write!r}")
    results: dict[str, Any] = {"machine": describe_machine(), "seconds": given.seconds}
    for name in names:
        results[name] = found = measure(name, RATES[name], given.seconds)
        print(f"{name}: {found['orders']:,} orders at {found['offered_per_s']:g}/s, {found['kept_per_s']:.1f}/s kept")
        for stage in ("to_the_socket_s", "to_the_acknowledgement_s"):
            told = {key: f"{1_000 * value:.2f} ms" for key, value in found[stage].items() if key != "count"}
            print(f"  {stage}: {', '.join(f'{key} {value}' for key, value in told.items())}")
        print(f"  {'all is well' if not found['missed'] else 'MISSED: ' + '; '.join(found['missed'])}")
    if given.write:
        target = Path(__file__).parent / "results" / f"{given.write}.json"
        target.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return 1 if any(results[name]["missed"] for name in names) else 0


def measure(name: str, rate: float, seconds: float) -> dict[str, Any]:
    """Offer orders to one broker, and return what was seen."""
    with served(name) as facts:
        return asyncio.run(_offered(opened(name, facts), rate, round(rate * seconds)))


@contextmanager
def served(name: str) -> Iterator[Mapping[str, Any]]:
    """Run a broker to practise on."""
    command = [sys.executable, "-m", "fairlead", "dev", "broker-server", name, "--symbols", "ACME", "--port", "0", "--json"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        text = ""
        for line in process.stdout or ():
            text += line
            if line == "}\n":
                break
        try:
            yield json.loads(text)
        finally:
            process.kill()


def opened(name: str, facts: Mapping[str, Any]) -> Broker:
    """Return the adapter that ships, at such a server."""
    if name == "ibkr":
        kind = broker_kind(name, {"port": facts["port"], "kind": "paper", "reset": None})
        return kind.open(AccountKeys(), _now_ns)
    kind = broker_kind(name, {"base_url": facts["url"]})
    return kind.open(AccountKeys(None, facts["api_key"], facts["api_secret"]), _now_ns)


async def _offered(broker: Broker, rate: float, count: int) -> dict[str, Any]:
    begun: dict[str, float] = {}
    sent, acknowledged, told = QuantileSummary(), QuantileSummary(), Counter[str]()
    waiting: set[str] = set()

    def leave(references: Any) -> None:
        for reference in references:
            sent.add(time.perf_counter() - begun[reference])

    def hear(report: BrokerReport) -> None:
        told[f"{report.kind}:{report.data.get('kind') or report.data.get('reason') or ''}".rstrip(":")] += 1
        if report.kind is ReportKind.ORDER and report.data["status"] is OrderStatus.ACKNOWLEDGED:
            reference = report.data["reference"]
            if reference in waiting:
                waiting.discard(reference)
                acknowledged.add(time.perf_counter() - begun[reference])

    link = BrokerLink(broker, LinkSettings(), hear, now_ns=_now_ns, monotonic=time.monotonic, uniform=random.random, sent=leave)
    running = asyncio.ensure_future(link.run())
    try:
        await _until(lambda: told["link:up"] or running.done(), 30.0)
        if running.done():
            await running
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            reference = f"{random.getrandbits(32):08x}-0000-5000-8000-{number:012x}"
            begun[reference] = time.perf_counter()
            waiting.add(reference)
            link.begin(Submit((_order(reference),)))
        offered_s = time.perf_counter() - began
        await _until(lambda: not waiting and link.calls.is_idle, 60.0)
        took_s = time.perf_counter() - began
        there = Counter(order.reference for order in await broker.open_orders())
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    summaries = {"to_the_socket_s": _plain(sent), "to_the_acknowledgement_s": _plain(acknowledged)}
    kept = count / max(offered_s, took_s - 1.0 / rate)
    missed = list(_missed(begun, there, told, summaries, kept / rate))
    return {"orders": count, "offered_per_s": rate, "kept_per_s": kept, "told": dict(told), **summaries, "missed": missed}


def _missed(
    begun: Mapping[str, float], there: Counter[str], told: Counter[str], seen: Mapping[str, Mapping[str, float]], kept: float
) -> Iterator[str]:
    if any(there[reference] != 1 for reference in begun) or len(there) != len(begun):
        yield f"{len(begun)} orders were sent, {sum(there.values())} are there, {len(there)} of them different"
    for name, count in told.items():
        if name.startswith(("refused", "link:pacing", "link:down")):
            yield f"{name} {count} times"
    if kept < KEPT:
        yield f"{kept:.0%} of the rate was kept"
    for stage, quantile, limit in (
        ("to_the_socket_s", "p95", SENT_P95_S),
        ("to_the_acknowledgement_s", "p50", ACK_MEDIAN_S),
        ("to_the_acknowledgement_s", "p95", ACK_P95_S),
    ):
        if not seen[stage][quantile] < limit:
            yield f"{stage} {quantile} {1_000 * seen[stage][quantile]:.1f} ms, must be below {1_000 * limit:g} ms"


def _order(reference: str) -> OrderRequest:
    return OrderRequest(
        reference=reference,
        symbol="ACME",
        side=Side.BUY,
        quantity=Decimal(1),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("0.50"),
    )


def _plain(summary: QuantileSummary) -> dict[str, float]:
    found = summary.summary()
    return {name: float(getattr(found, name) or 0.0) for name in ("count", "p50", "p95", "p99", "max")}


async def _until(holds: Any, most_s: float) -> None:
    end = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > end:
            raise SystemExit("the broker does not answer.")
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
