"""Paper sessions: a configuration's backtest and its paper session side by side, without waiting for either."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

from fairlead.backtest.result import Result
from fairlead.backtest.run import run_backtest
from fairlead.config.loading import LoadedConfig, load_settings
from fairlead.config.papering import wire_paper
from fairlead.config.realtime import RealtimeSession
from fairlead.config.wire import wire
from fairlead.core.orders import Order
from fairlead.core.time import to_ns
from fairlead.data.live import ReplayDataSettings, ReplayFeed
from fairlead.data.live.opening import replay_of

NOW = dt.datetime(2024, 6, 3, 12, tzinfo=dt.UTC)
PAPER = ("mode=paper", "data.type=replay", "clock.speed=max")
_OWN = {"order_id", "idempotency_key", "group_id", "oco_id", "parent_id"}
CONFIGS = Path(__file__).parent.parent / "configs" / "strategies"


def now_ns() -> int:
    """A clock that stands."""
    return to_ns(NOW)


def loaded(config: Path, *overrides: str) -> LoadedConfig:
    """Load a configuration, untouched by this machine's environment."""
    return load_settings(config, environ={}, overrides=("report.html=false", "report.plots=false", *overrides))


def backtest(config: Path, workspace: Path, *overrides: str) -> Result:
    """Run a configuration over history."""
    session = wire(loaded(config, *overrides), {}, workspace)
    settings = session.loaded
    return run_backtest(session.plan("bt_parity"), title=session.title, config=settings.effective, created_at=NOW)


def paper_session(config: Path, workspace: Path, *overrides: str) -> RealtimeSession:
    """Turn a configuration into a paper session over its stored bars."""
    return wire_paper(loaded(config, *PAPER, *overrides), {}, now_ns, workspace)


def run_paper(session: RealtimeSession, run_id: str = "paper_parity", now: dt.datetime = NOW) -> Result:
    """Run a paper session to its end."""
    return session.run(run_id, now=now, now_ns=now_ns, command="", progress=None)


def jittered(session: RealtimeSession, *, speed: float, jitter_s: float, waits: list[float]) -> RealtimeSession:
    """Let a replayed session arrive late and at a finite speed, by a counter that jumps over every wait."""
    elapsed = [0.0]
    given = session.wired.loaded.settings.data
    assert isinstance(given, ReplayDataSettings)
    data = given.model_copy(update={"jitter_s": jitter_s, "jitter_seed": 7})

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        elapsed[0] += seconds
        await asyncio.sleep(0)

    def feed() -> ReplayFeed:
        return replay_of(data, session.wired.source, speed=speed, sleep=sleep, elapsed=lambda: elapsed[0])

    return dataclasses.replace(session, feed=feed)


def same(one: Result, other: Result) -> None:
    """Hold two runs against each other: what was decided, what came of it, and what it was decided on."""
    assert one.record.digest == other.record.digest
    assert facts_of(one) == facts_of(other)
    assert one.record.applied_actions == other.record.applied_actions
    assert one.record.market_actions == other.record.market_actions
    assert one.record.bars == other.record.bars
    assert one.record.account.equity.tolist() == other.record.account.equity.tolist()


def facts_of(result: Result, strategy: str | None = None) -> dict[str, list[Any]]:
    """What a run decided and what came of it, in order; an order's place stands for its id, which has the run's name in it."""
    record = result.record
    chosen = [order for order in record.orders if strategy in {None, order.strategy}]
    place = {order.order_id: i for i, order in enumerate(chosen)}

    def order_facts(order: Order) -> dict[str, Any]:
        values = {f.name: getattr(order, f.name) for f in dataclasses.fields(order) if f.name not in _OWN}
        return {**values, "parent": place.get(order.parent_id)}

    return {
        "orders": [order_facts(order) for order in chosen],
        "updates": [(place[u.order_id], *u[1:]) for u in record.updates if u.order_id in place],
        "fills": [f._replace(order_id=str(place[f.order_id])) for f in record.fills if f.order_id in place],
    }
