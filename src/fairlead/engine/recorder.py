"""The recorder: what a run decided and what became of it, in the order in which it happened, each with its stage.

A run without a recorder pays nothing for it: no stage is wrapped and the clock hands out a bare range.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, ParamSpec, TypeVar

from fairlead.core.bars import BarSlice, Cursor
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order, OrderStatus, OrderUpdate
from fairlead.core.portfolio import Portfolio
from fairlead.engine.desk import OrderDesk
from fairlead.engine.loop import EventLoop
from fairlead.engine.record import Fact, LoggedEvent
from fairlead.engine.runner import StrategyRunner, Submit
from fairlead.engine.stages import Stage
from fairlead.telemetry.timers import StageTimers

P = ParamSpec("P")
R = TypeVar("R")

_STAGES: Final[Mapping[str, Stage]] = MappingProxyType(
    {stage.name.lower(): stage for stage in (Stage.CORPORATE_ACTIONS, Stage.EXECUTION, Stage.MARKET)}
)

_FILLING: Final = (OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED)


@dataclass(frozen=True, slots=True, eq=False)
class Instant:
    """An instant of a run that is over, shown to whoever watches.

    Attributes
    ----------
    ts_ns : int
        Nanoseconds.
    bars : BarSlice
        The bars that closed at it.
    events : tuple of LoggedEvent
        What happened at it, in order; empty for most instants.
    orders : mapping of str to Order
        Every order of the run so far, by id, as it stands now.
    ledgers : mapping of str to Portfolio
        By strategy, marked at the instant's closes. To be read only.
    is_end : bool
        Whether this is no instant of its own but what the end of the run brought with it.
    """

    ts_ns: int
    bars: BarSlice
    events: tuple[LoggedEvent, ...]
    orders: Mapping[str, Order]
    ledgers: Mapping[str, Portfolio]
    is_end: bool = False


Watch = Callable[[Instant], None]
"""Called after every instant, between it and the next: it may wait, and what it raises ends the run."""


@dataclass(slots=True, eq=False)
class Recorder:
    """Collects events at the end of every stage, and shows each instant to a watcher.

    Parameters
    ----------
    cursor : Cursor
    ledgers : mapping of str to Portfolio
    keep : bool
        Whether `events` is to be filled, or events are only shown.
    watch : callable, optional
    """

    cursor: Cursor
    ledgers: Mapping[str, Portfolio]
    keep: bool = True
    watch: Watch | None = None
    events: list[LoggedEvent] = field(default_factory=list, init=False)
    _now: list[LoggedEvent] = field(default_factory=list, init=False)
    _seen: dict[str, int] = field(default_factory=dict, init=False)
    _orders: dict[str, Order] = field(default_factory=dict, init=False)
    _desk: OrderDesk | None = field(default=None, init=False)
    _loop: EventLoop | None = field(default=None, init=False)

    def follow(self, desk: OrderDesk, loop: EventLoop) -> None:
        """Take the parts whose lists are read."""
        self._desk, self._loop = desk, loop

    def submit(self, take: Submit) -> Submit:
        """Return `take` with every intent written down before it is acted on."""

        def recorded(runner: StrategyRunner, intents: Sequence[OrderIntent | CancelIntent | ReplaceIntent]) -> None:
            self.collect(Stage.MARKET)
            for intent in intents:
                self._add(Stage.ORDERS, runner.name, intent)
            take(runner, intents)
            self.collect(Stage.ORDERS)

        return recorded

    def collect(self, stage: Stage) -> None:
        """Write down what has happened since the last call; it happened in `stage`."""
        if self._desk is None or self._loop is None:
            return
        for order in self._new("orders", self._desk.orders):
            self._orders[order.order_id] = order
        for action in self._new("market_actions", self._loop.market_actions):
            self._add(stage, "", action)
        for applied in self._new("applied_actions", self._loop.applied_actions):
            self._add(stage, applied.strategy, applied)
        fills, updates = self._new("fills", self._desk.fills), self._new("updates", self._desk.updates)
        for fact in told_in_order(updates, fills):
            strategy = fact.strategy if isinstance(fact, Fill) else self._orders[fact.order_id].strategy
            self._add(stage, strategy, fact)

    def instant_done(self) -> None:
        """Show the instant that is over, and begin the next."""
        self._show(is_end=False)

    def finish(self) -> None:
        """Write down what the end of the run brought with it."""
        self.collect(Stage.RECORD)
        if self._now:
            self._show(is_end=True)

    def close(self) -> None:
        """Let go of the parts whose lists were read."""
        self._desk = self._loop = None

    def _show(self, *, is_end: bool) -> None:
        events, self._now = self._now, []
        if self.keep:
            self.events += events
        if self.watch is not None:
            bars = BarSlice(self.cursor.block, self.cursor.row)
            self.watch(Instant(self.cursor.known_ns, bars, tuple(events), self._orders, self.ledgers, is_end))

    def _add(self, stage: Stage, strategy: str, fact: Fact) -> None:
        self._now.append(LoggedEvent(self.cursor.known_ns, stage, strategy, fact))

    def _new(self, name: str, items: Sequence[R]) -> list[R]:
        seen = self._seen.get(name, 0)
        self._seen[name] = len(items)
        return list(items[seen:])


def told_in_order(updates: Iterable[OrderUpdate], fills: Iterable[Fill]) -> Iterator[OrderUpdate | Fill]:
    """Yield changes of orders and executions as they are told: a fill just before the change of status that it brought."""
    waiting = deque(fills)
    for update in updates:
        if waiting and waiting[0].order_id == update.order_id and update.status in _FILLING:
            yield waiting.popleft()
        yield update
    yield from waiting


class RecordedStages(StageTimers):
    """Stage timers that let a recorder collect at the end of every stage in which something can happen."""

    __slots__ = ("_recorder", "_timers")

    def __init__(self, timers: StageTimers, recorder: Recorder) -> None:
        super().__init__(enabled=False)
        self._timers = timers
        self._recorder = recorder

    def wrap(self, stage: str, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function`, followed by a collection under its stage."""
        timed = self._timers.wrap(stage, function)
        found = _STAGES.get(stage.partition(":")[0])
        if found is None:
            return timed
        collect, at = self._recorder.collect, found
        # What came before the first strategy and belongs to no stage that is wrapped is the doing of the monitors.
        before = Stage.MONITORS if found is Stage.MARKET else found

        def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
            collect(before)
            result = timed(*args, **kwargs)
            collect(at)
            return result

        return recorded
