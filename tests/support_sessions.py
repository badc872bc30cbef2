"""Sessions in memory: history from plain arrays, plans, a bare venue, and strategies that do as they are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fairlead.core.bars import BarBlock, BarSlice, effective_actions, forward_fill
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.identity import random_stream
from fairlead.core.instruments import Instrument
from fairlead.core.intents import CancelIntent, OrderIntent
from fairlead.core.orders import Order, OrderType, OrderUpdate, Side, TimeInForce
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize
from fairlead.engine.record import RunRecord
from fairlead.engine.session import Allocation, SessionPlan, run_session
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import Latency, LatencySettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.simulated import SimulatedExecution
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk.limits import RiskLimits
from fairlead.sdk.strategy import Strategy

FIRST_DAY = 19_724
"""2024-01-02, in days since the epoch."""

FREE: dict[str, Any] = {
    "slippage": SlippageSettings(model="none"),
    "commission": CommissionSettings(model="none"),
    "latency": LatencySettings(mean_ms=0, std_ms=0),
    "max_bar_participation": 1.0,
}
"""Execution without costs, delay or a useful cap."""

FIELDS = ("open", "high", "low", "close", "volume")


class ArraySource:
    """A `DataSource` over arrays of shape (n, k), cut in blocks of `rows` instants."""

    name = "arrays"
    calendar = "XNYS"
    is_synthetic = True
    content_hash = "0" * 64

    def __init__(
        self,
        symbols: Sequence[str],
        arrays: Mapping[str, np.ndarray],
        *,
        session: Sequence[int],
        label_ns: Sequence[int],
        known_ns: Sequence[int],
        actions: Sequence[CorporateAction] = (),
        rows: int | None = None,
        bar_size: BarSize = BarSize.M1,
        cut_from: ArraySource | None = None,
    ) -> None:
        self.symbols = tuple(symbols)
        self.arrays = {name: np.asarray(arrays[name], float).reshape(len(known_ns), len(self.symbols)) for name in FIELDS}
        self.session = np.asarray(session, np.int32)
        self.label_ns = np.asarray(label_ns, np.int64)
        self.known_ns = np.asarray(known_ns, np.int64)
        self.actions = tuple(sorted(actions, key=lambda a: a.sort_key))
        self.rows = rows
        self.bar_size = bar_size
        self._cut_from = cut_from

    def whole(self) -> ArraySource:
        return self if self._cut_from is None else self._cut_from

    def since(self, first: int) -> ArraySource:
        """Return the rows from `first` on, as a selection by dates would be."""
        return self.changed(
            arrays={name: values[first:] for name, values in self.arrays.items()},
            session=self.session[first:],
            label_ns=self.label_ns[first:],
            known_ns=self.known_ns[first:],
            cut_from=self,
        )

    @property
    def expected_rows(self) -> int:
        return len(self.known_ns)

    def changed(self, **changes: Any) -> ArraySource:
        """Return a copy with other `arrays`, `actions` or `rows`."""
        given: dict[str, Any] = {
            "arrays": self.arrays,
            "session": self.session,
            "label_ns": self.label_ns,
            "known_ns": self.known_ns,
            "actions": self.actions,
            "rows": self.rows,
            "bar_size": self.bar_size,
        }
        return ArraySource(self.symbols, **{**given, **changes})

    def until(self, stop: int) -> ArraySource:
        """Return the first `stop` rows."""
        return self.changed(
            arrays={name: values[:stop] for name, values in self.arrays.items()},
            session=self.session[:stop],
            label_ns=self.label_ns[:stop],
            known_ns=self.known_ns[:stop],
        )

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield blocks whose arrays are copies, so that nothing but the block itself leads to the future."""
        n = len(self.known_ns)
        step = self.rows or max(n, 1)
        mark = forward_fill(self.arrays["close"])
        columns = {symbol: i for i, symbol in enumerate(self.symbols)}
        for begin in range(0, n, step):
            first, stop = max(0, begin - carry), min(begin + step, n)
            placed = effective_actions(
                self.actions, columns, self.session[:stop], mark[:stop], open_=self.arrays["open"][:stop]
            )
            part = slice(first, stop)
            yield BarBlock(
                self.symbols,
                self.label_ns[part].copy(),
                self.known_ns[part].copy(),
                self.session[part].copy(),
                *(self.arrays[name][part].copy() for name in FIELDS),
                mark[part].copy(),
                start=begin - first,
                actions=tuple(e._replace(row=e.row - first) for e in placed if e.row >= first),
            )


Row = tuple[float, ...] | None
"""(open, high, low, close) or with a volume; None where there is no bar."""


def minutes(
    bars: Mapping[str, Sequence[Row]], *, per_session: int = 390, first_day: int = FIRST_DAY, **kwargs: Any
) -> ArraySource:
    """Return one-minute history from rows by symbol; sessions of `per_session` bars open at 14:30 UTC."""
    symbols = sorted(bars)
    n = len(bars[symbols[0]])
    step = np.arange(n, dtype=np.int64)
    session = first_day + step // per_session
    label = session * NS_PER_DAY + (870 + step % per_session) * NS_PER_MINUTE
    return ArraySource(symbols, columns_of(bars), session=session, label_ns=label, known_ns=label + NS_PER_MINUTE, **kwargs)


def days(bars: Mapping[str, Sequence[Row]], *, first_day: int = FIRST_DAY, **kwargs: Any) -> ArraySource:
    """Return daily history from rows by symbol, one session a day, known at 21:00 UTC."""
    symbols = sorted(bars)
    session = first_day + np.arange(len(bars[symbols[0]]), dtype=np.int64)
    label = session * NS_PER_DAY
    known = label + 1260 * NS_PER_MINUTE
    return ArraySource(
        symbols, columns_of(bars), session=session, label_ns=label, known_ns=known, bar_size=BarSize.D1, **kwargs
    )


def columns_of(bars: Mapping[str, Sequence[Row]]) -> dict[str, np.ndarray]:
    """Return arrays of shape (n, k) by field; a row without a volume has 10,000."""
    symbols = sorted(bars)
    cells = np.array([[_row(row) for row in bars[symbol]] for symbol in symbols]).transpose(2, 1, 0)
    return dict(zip(FIELDS, cells, strict=True))


def _row(row: Row) -> tuple[float, ...]:
    if row is None:
        return (np.nan,) * 5
    return row if len(row) == 5 else (*row, 10_000.0)


def flat(price: float, volume: float = 10_000.0) -> Row:
    """Return a bar whose prices are all the same."""
    return (price, price, price, price, volume)


def steady(n: int, price: float = 100.0, step: float = 0.0) -> list[Row]:
    """Return `n` flat bars, each `step` above the one before."""
    return [flat(price + i * step) for i in range(n)]


def random_bars(
    random: np.random.Generator, n: int, *, gaps: float = 0.0, volume: float = 2_000.0, start: float = 50.0
) -> list[Row]:
    """Return `n` valid bars of a random walk on a cent grid; each is missing with probability `gaps`, never the first."""
    rows: list[Row] = []
    close = start
    for i in range(n):
        open_ = max(1.0, close * (1 + random.normal(0, 0.01)))
        close = max(1.0, open_ * (1 + random.normal(0, 0.02)))
        high = max(open_, close) * (1 + abs(random.normal(0, 0.01)))
        low = min(open_, close) * (1 - abs(random.normal(0, 0.01)))
        open_, high, low, close = (round(x, 2) for x in (open_, high, low, close))
        size = float(random.integers(0, int(volume))) if random.random() > 0.1 else 0.0
        rows.append((open_, high, low, close, size) if i == 0 or random.random() >= gaps else None)
    return rows


def free(**changes: Any) -> ExecutionSettings:
    """Return execution settings without costs, with changes."""
    return ExecutionSettings(**{**FREE, **changes})


def split(symbol: str, day: int, ratio: float) -> CorporateAction:
    """Return a split effective `day` sessions after the first."""
    return CorporateAction(symbol, FIRST_DAY + day, ActionKind.SPLIT, ratio)


def dividend(symbol: str, day: int, cash: float) -> CorporateAction:
    """Return a dividend with its ex-session `day` sessions after the first."""
    return CorporateAction(symbol, FIRST_DAY + day, ActionKind.DIVIDEND, cash)


class Scripted(Strategy):
    """Returns prepared intents by instant number, and writes down everything it hears.

    A script entry is a list of intents, or a function of (strategy, context) that returns one.
    """

    def __init__(self, script: Mapping[int, Any] | None = None) -> None:
        super().__init__()
        self.script = dict(script or {})
        self.instant = -1
        self.heard: list[tuple[Any, ...]] = []

    def on_start(self, context):
        self.heard.append(("start",))

    def on_market_event(self, event, context):
        self.heard.append(("bar", event.symbol, event.close))

    def on_order_update(self, order, context):
        self.heard.append(("order", order.symbol, str(order.status), order.filled_quantity))

    def on_corporate_action(self, action, context):
        self.heard.append(("action", action.symbol, str(action.kind)))

    def on_stop(self, context):
        self.heard.append(("stop",))

    def generate_orders(self, context):
        self.instant += 1
        wanted = self.script.get(self.instant, ())
        return wanted(self, context) if callable(wanted) else wanted


class ScriptedSlices(Scripted):
    """The same, fed with slices."""

    event_type = BarSlice

    def on_market_event(self, event, context):
        for bar in event:
            self.heard.append(("bar", bar.symbol, bar.close))


def allocate(strategy: Strategy, name: str = "alpha", capital: float = 100_000.0, **limits: Any) -> Allocation:
    """Return an allocation whose limits do not bite unless given."""
    # On the instance: the class may be `Strategy` itself, which every other test shares.
    strategy.risk_limits = RiskLimits(max_leverage=20)  # type: ignore[misc]
    return Allocation(name=name, strategy=strategy, capital=capital, limits=RiskLimits(**{"max_leverage": 20, **limits}))


def plan(source: ArraySource, *allocations: Allocation | Strategy, **changes: Any) -> SessionPlan:
    """Return a plan without costs; a bare strategy gets 100,000 of capital."""
    each = [a if isinstance(a, Allocation) else allocate(a) for a in allocations]
    return SessionPlan(**{"run_id": "bt_test", "allocations": each, "source": source, "execution": free(), **changes})


def run(source: ArraySource, *allocations: Allocation | Strategy, **changes: Any) -> RunRecord:
    """Run such a plan."""
    return run_session(plan(source, *allocations, **changes))


def paid(record: RunRecord, strategy: str | None = None) -> list[tuple[Any, ...]]:
    """Return what matters of each fill: (symbol, side, quantity, ideal price, price, instant)."""
    chosen = [f for f in record.fills if strategy in (None, f.strategy)]
    return [(f.symbol, str(f.side), f.quantity, f.price_ideal, f.price, f.commission, f.ts_ns) for f in chosen]


class Venue:
    """A `SimulatedExecution` over one source, without an engine around it: submit orders, then step row by row."""

    def __init__(
        self,
        source: ArraySource,
        settings: ExecutionSettings | None = None,
        instruments: Mapping[str, Instrument] | None = None,
        on_hear: Callable[[Order, OrderUpdate, Fill | None], None] | None = None,
        **kwargs: Any,
    ) -> None:
        self.block = next(iter(source.blocks(carry=1)))
        self.settings = settings or free()
        self.instruments = {s: (instruments or {}).get(s) or Instrument(symbol=s) for s in source.symbols}
        self.heard: list[tuple[Order, OrderUpdate, Fill | None]] = []
        self.row = 0
        self._count = 0
        self._on_hear = on_hear
        latency = Latency(self.settings.latency, lambda name: random_stream(42, name))
        self.execution = SimulatedExecution(self.settings, self.instruments, latency, self._hear, **kwargs)

    def _hear(self, order: Order, update: OrderUpdate, fill: Fill | None) -> None:
        self.heard.append((order, update, fill))
        if self._on_hear is not None:
            self._on_hear(order, update, fill)

    @property
    def fills(self) -> list[Fill]:
        return [fill for _, _, fill in self.heard if fill is not None]

    @property
    def statuses(self) -> list[str]:
        return [str(update.status) for _, update, _ in self.heard]

    def submit(self, symbol: str, quantity: float, *, strategy: str = "alpha", **fields: Any) -> Order:
        """Send an order decided at the current row; the kind follows from the prices given."""
        kind = {
            (False, False): OrderType.MARKET,
            (True, False): OrderType.LIMIT,
            (False, True): OrderType.STOP,
            (True, True): OrderType.STOP_LIMIT,
        }[("limit_price" in fields, "stop_price" in fields)]
        kind = fields.pop("order_type", kind)
        self._count += 1
        now = int(self.block.known_ns[self.row])
        order = Order(
            order_id=f"o{self._count}",
            idempotency_key=f"k{self._count}",
            group_id="g",
            strategy=strategy,
            symbol=symbol,
            side=Side.of(quantity),
            quantity=abs(quantity),
            order_type=kind,
            created_ns=now,
            arrives_ns=now,
            **{"time_in_force": TimeInForce.GTC, **fields},
        )
        self.execution.submit(order)
        return order

    def step(self, rows: int = 1) -> list[Fill]:
        """Let the next rows happen and return their fills."""
        before = len(self.fills)
        for _ in range(rows):
            self.row += 1
            self.execution.match(self.block, self.row)
        return self.fills[before:]

    def again(self) -> list[Fill]:
        """Let the current row match once more, as it does when its orders were decided on it."""
        before = len(self.fills)
        self.execution.match(self.block, self.row)
        return self.fills[before:]


def with_tif(intent: OrderIntent, tif: TimeInForce, expires_at: Any = None) -> OrderIntent:
    """Return `intent` with another time in force."""
    return dataclasses.replace(intent, time_in_force=tif, expires_at=expires_at)


def random_intents(
    random: np.random.Generator, symbols: Sequence[str], marks: Mapping[str, float], open_orders: Sequence[Order]
) -> list[OrderIntent | CancelIntent]:
    """Return up to three intents of any type, amount and time in force, and now and then a cancel."""
    wanted: list[OrderIntent | CancelIntent] = []
    if len(open_orders) and random.random() < 0.2:
        wanted.append(CancelIntent(open_orders[int(random.integers(len(open_orders)))].order_id))
    for _ in range(int(random.integers(0, 4))):
        symbol = str(random.choice(list(symbols)))
        if marks[symbol] > 0:
            wanted.append(random_intent(random, symbol, marks[symbol]))
    return wanted


def random_intent(random: np.random.Generator, symbol: str, mark: float) -> OrderIntent:
    """Return one intent with prices near `mark`."""
    sign = 1 if random.random() < 0.5 else -1
    quantity = sign * float(random.integers(1, 300))
    near = max(0.01, round(mark * (1 + random.normal(0, 0.02)), 2))
    far = max(0.01, round(near * (1 + sign * abs(random.normal(0, 0.02))), 2))
    tif = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)[int(random.integers(4))]
    intents = (
        OrderIntent.market(symbol, quantity, time_in_force=tif),
        OrderIntent.limit(symbol, quantity, near, time_in_force=tif),
        OrderIntent.stop(symbol, quantity, near, time_in_force=tif),
        OrderIntent.stop_limit(symbol, quantity, near, far, time_in_force=tif),
        OrderIntent.notional(symbol, sign * float(random.integers(100, 20_000))),
        OrderIntent.target_position(symbol, quantity),
        OrderIntent.target_weight(symbol, sign * random.random()),
    )
    return intents[int(random.integers(len(intents)))]


class Random(Scripted):
    """Sends random orders of every kind, seeded by the session."""

    def generate_orders(self, context):
        marks = {}
        for symbol in context.symbols:
            closes = context.historical_data.closes(symbol, 1)
            marks[symbol] = float(closes[-1]) if len(closes) else np.nan
        return random_intents(context.random, context.symbols, marks, context.open_orders)
