"""How a session stands, as an operator is told it: plain data, read off its parts and kept nowhere."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from fairlead.contracts.files import canonical_json, sha256_bytes
from fairlead.core.orders import Order
from fairlead.core.time import format_utc
from fairlead.engine.attendance import SessionParts
from fairlead.engine.runner import StrategyRunner
from fairlead.risk.monitors import KillLatch, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A session at this moment.

    Parameters
    ----------
    parts : SessionParts or None
        None before its first data and after its end.
    latch : KillLatch
    paused : set of str
        Strategies.
    is_stopping, is_over : bool
    """

    parts: SessionParts | None
    latch: KillLatch
    paused: AbstractSet[str]
    is_stopping: bool
    is_over: bool

    @property
    def state(self) -> str:
        """In a word: halted, ended, stopping, paused or running."""
        if self.latch.is_latched():
            return "halted"
        if self.is_over:
            return "ended"
        if self.is_stopping:
            return "stopping"
        runners = {runner.name for runner in self.parts.runners} if self.parts is not None else set()
        return "paused" if runners and runners <= self.paused else "running"

    def halted_by(self) -> list[dict[str, str]]:
        """Tell what is tripped, the oldest first."""
        return [{"switch": trip.switch, "action": trip.action.value, "reason": trip.reason} for trip in self.latch.trips]

    def to_dict(self) -> dict[str, Any]:
        """Tell everything that there is to tell without an operator's or a feed's word."""
        parts = self.parts
        if parts is None:
            state = self.state
            return {"state": "waiting for data" if state == "running" else state, "halted_by": self.halted_by()}
        return {
            "state": self.state,
            "now": format_utc(parts.cursor.known_ns),
            "equity": equity_of(parts),
            "strategies": [self._describe(runner) for runner in parts.runners],
            "working_orders": len(parts.desk.execution.working),
            "halted_by": self.halted_by(),
        }

    def _describe(self, runner: StrategyRunner) -> dict[str, Any]:
        state = "stopped" if not runner.is_running else "paused" if runner.name in self.paused else "running"
        halted = self.latch.is_latched(runner.name)
        return {
            "name": runner.name,
            "state": "halted" if halted else state,
            "capital": runner.ledger.capital,
            "equity": runner.ledger.equity,
            "positions": held_by(runner),
        }


def checkpoint_of(parts: SessionParts, instants: int) -> dict[str, Any]:
    """Return the state of a session as a checkpoint tells it: what is held, what works, and what the strategies remember."""
    return {
        "instants": instants,
        "working": [_work_of(order) for order in parts.desk.execution.working.values()],
        "strategies": {
            runner.name: {"cash": runner.ledger.cash, "positions": held_by(runner), "state": _memory_of(runner)}
            for runner in parts.runners
        },
    }


def _work_of(order: Order) -> list[Any]:
    return [order.order_id, order.status.value, order.remaining, order.limit_price, order.stop_price]


def _memory_of(runner: StrategyRunner) -> str:
    """Return a hash of what a strategy remembers; empty if it cannot say."""
    try:
        remembered = {"state": runner.strategy.save_state(), "metadata": dict(runner.context.metadata)}
        return sha256_bytes(canonical_json(remembered).encode())
    except Exception:  # noqa: BLE001  the boundary of the strategy: a state that cannot be told ends nothing
        return ""


def equity_of(parts: SessionParts) -> float:
    """Return what all books of a session are worth, in currency."""
    return sum(runner.ledger.equity for runner in parts.runners)


def held_by(runner: StrategyRunner) -> dict[str, float]:
    """Return the units that a strategy holds, by symbol."""
    return {symbol: p.quantity for symbol, p in sorted(runner.ledger.positions.items()) if p.quantity}


def measures_of(reading: Reading) -> dict[str, Any]:
    """Return what a kill switch measured, and its levels, as a journal can hold it."""
    measured = reading.measured if reading.measured is not None and math.isfinite(reading.measured) else None
    return {"measured": measured, "warning": reading.warning, "critical": reading.critical}
