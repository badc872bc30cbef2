"""The measured workloads: their data, their strategies, and how the engine runs them.

W1: one symbol, one-minute bars, SMA(20)/SMA(50) crossover, 100 shares per cross, next-open fills, 1 bp commission.
W2: daily bars of many symbols; every 21 bars hold the top tenth by 126-bar momentum at equal weight.
W3: the rule of W1 on 50,000 bars, with each of 1,000 pairs of averages.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fairlead.core.bars import BarBlock
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.blocks import assemble
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.table import BAR_SCHEMA
from fairlead.engine.record import RunRecord
from fairlead.engine.session import Allocation, SessionPlan, run_session
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk import Bar, BarSlice, Context, Intents, OrderIntent, Strategy, parameter

CALENDAR = "XNYS"
FIRST_DAY = date_to_day(dt.date(2015, 1, 2))
LAST_DAY = date_to_day(dt.date(2025, 12, 31))
COMMISSION_BPS = 1.0
SHARES_PER_CROSS = 100.0
# Prices are multiples of 1/64, so that sums of them are exact: an average that is updated bar by bar and one from a
# cumulative sum are the same float, and equal averages are equal in both.
GRID = 64.0
SWEEP_FAST = range(5, 25)
SWEEP_SLOW = range(30, 80)


class Columns(NamedTuple):
    """Bars as arrays: stamps of shape (n,), prices and volume of shape (n, k)."""

    symbols: tuple[str, ...]
    bar_size: BarSize
    label_ns: np.ndarray
    known_ns: np.ndarray
    session: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray


@dataclass(frozen=True)
class TableSource:
    """A `DataSource` over a table in memory: blocks are assembled anew on every run."""

    columns: Columns
    table: pa.Table

    name = "benchmark"
    calendar = CALENDAR
    is_synthetic = True
    content_hash = "0" * 64
    actions: tuple[CorporateAction, ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Column order."""
        return self.columns.symbols

    @property
    def bar_size(self) -> BarSize:
        """Length of a bar."""
        return self.columns.bar_size

    @property
    def expected_rows(self) -> int:
        """Instants."""
        return len(self.columns.known_ns)

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield blocks assembled from the table."""
        return assemble([self.table], self.symbols, carry=carry)


@dataclass(frozen=True)
class BlockSource(TableSource):
    """The same, with the blocks made beforehand: a run then measures the engine alone."""

    made: Sequence[BarBlock] = ()

    @classmethod
    def of(cls, source: TableSource, carry: int) -> BlockSource:
        """Assemble the blocks of `source` now, with as much history as the engine will ask for."""
        return cls(source.columns, source.table, made=tuple(source.blocks(carry=carry)))

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:  # noqa: ARG002  fixed when they were made
        """Yield the blocks made before."""
        return iter(self.made)


class SmaCrossover(Strategy):
    """W1 as its author would write it: two incremental averages, an order when they change places."""

    fast: int = parameter(20, ge=1, doc="Bars in the fast average.")
    slow: int = parameter(50, ge=2, doc="Bars in the slow average.")

    def on_start(self, context: Context) -> None:
        """Begin with empty windows."""
        (self.symbol,) = context.symbols
        self.fast_window = deque([0.0] * self.fast, maxlen=self.fast)
        self.slow_window = deque([0.0] * self.slow, maxlen=self.slow)
        self.fast_sum = self.slow_sum = 0.0
        self.was_above: bool | None = None
        self.is_long = False

    def on_market_event(self, event: Bar, context: Context) -> None:  # noqa: ARG002  the hook's signature
        """Update both averages."""
        price = event.close
        fast, slow = self.fast_window, self.slow_window
        self.fast_sum += price - fast[0]
        self.slow_sum += price - slow[0]
        fast.append(price)
        slow.append(price)

    def generate_orders(self, context: Context) -> Intents:  # noqa: ARG002  the hook's signature
        """Buy 100 shares on a cross up, sell them on a cross down; the window holds zeros until it is full."""
        if not self.slow_window[0]:
            return ()
        is_above = self.fast_sum / self.fast > self.slow_sum / self.slow
        if is_above is self.was_above:
            return ()
        is_first, self.was_above = self.was_above is None, is_above
        if is_first or is_above == self.is_long:
            return ()
        self.is_long = is_above
        return (OrderIntent.market(self.symbol, SHARES_PER_CROSS if is_above else -SHARES_PER_CROSS),)


class TopMomentum(Strategy):
    """W2 as its author would write it: rank, hold the best at equal weight, sell the rest."""

    event_type = BarSlice
    window: int = parameter(126, ge=1, doc="Bars over which momentum is measured.")
    every: int = parameter(21, ge=1, doc="Bars between two rebalancings.")
    count: int = parameter(50, ge=1, doc="How many symbols to hold.")

    def on_start(self, context: Context) -> None:  # noqa: ARG002  the hook's signature
        """Begin to count."""
        self.bars = 0

    def on_market_event(self, event: BarSlice, context: Context) -> None:  # noqa: ARG002  the hook's signature
        """Count the bar."""
        self.bars += 1

    def generate_orders(self, context: Context) -> Intents:
        """Rebalance when it is time and the window is full."""
        since = self.bars - self.window - 1
        if since < 0 or since % self.every:
            return ()
        closes = context.historical_data.panel(self.window + 1)
        best = np.argsort(-(closes[-1] / closes[0]), kind="stable")[: self.count]
        chosen = [context.symbols[column] for column in best.tolist()]
        kept = set(chosen)
        exits = [OrderIntent.target_position(symbol, 0) for symbol in context.portfolio.positions if symbol not in kept]
        return exits + [OrderIntent.target_weight(symbol, 1.0 / self.count) for symbol in chosen]


def minute_walk(bars: int = 500_000, seed: int = 42) -> Columns:
    """Return a random walk of one symbol near 100, with about 11,000 crosses of SMA(20) and SMA(50) in 500,000 bars."""
    random = np.random.default_rng(seed)
    close = np.rint(100.0 * GRID * np.exp(np.cumsum(random.standard_normal(bars) * 3e-4))) / GRID
    opened = np.concatenate([[100.0], close[:-1]]) + random.integers(-1, 2, bars) / GRID
    reach = random.integers(0, 4, (2, bars)) / GRID
    high, low = np.maximum(opened, close) + reach[0], np.minimum(opened, close) - reach[1]
    volume = random.integers(10_000, 100_000, bars).astype(np.float64)
    return _columns(("WALK",), BarSize.M1, [opened, high, low, close, volume])


def daily_walks(symbols: int = 500, bars: int = 2_520, seed: int = 43) -> Columns:
    """Return random walks of many symbols, daily."""
    random = np.random.default_rng(seed)
    shape = (bars, symbols)
    start = random.uniform(20.0, 200.0, symbols)
    steps = random.standard_normal(shape) * 0.015 + random.uniform(-3e-4, 6e-4, symbols)
    close = start * np.exp(np.cumsum(steps, axis=0))
    opened = np.concatenate([start[None], close[:-1]]) * np.exp(random.standard_normal(shape) * 0.004)
    high = np.maximum(opened, close) * (1.0 + 0.004 * random.random(shape))
    low = np.minimum(opened, close) * (1.0 - 0.004 * random.random(shape))
    volume = random.integers(10_000_000, 50_000_000, shape).astype(np.float64)
    names = tuple(f"W{i:04d}" for i in range(symbols))
    return _columns(names, BarSize.D1, [opened, high, low, close, volume])


def sweep_pairs(fast: Sequence[int] = SWEEP_FAST, slow: Sequence[int] = SWEEP_SLOW) -> list[tuple[int, int]]:
    """Return the pairs of W3, fast and slow; the slow average varies fastest."""
    return [(quick, steady) for quick in fast for steady in slow]


def as_source(columns: Columns) -> TableSource:
    """Return the columns as a canonical table behind a `DataSource`."""
    height, width = columns.close.shape

    def stamps(values: np.ndarray) -> pa.Array:
        return pa.array(np.repeat(values, width)).view(BAR_SCHEMA.field("known").type)

    arrays = [
        stamps(columns.known_ns),
        pa.array(columns.symbols, pa.string()).take(pa.array(np.tile(np.arange(width), height))),
        stamps(columns.label_ns),
        pa.array(np.repeat(columns.session, width)).view(pa.date32()),
        *(pa.array(values.ravel()) for values in columns[5:]),
    ]
    return TableSource(columns, pa.Table.from_arrays(arrays, schema=BAR_SCHEMA))


def plan(source: TableSource, strategy: Strategy, cash: float) -> SessionPlan:
    """Return a session with 1 bp commission and without slippage."""
    execution = ExecutionSettings(
        slippage=SlippageSettings(model="none"),
        commission=CommissionSettings(model="bps", params={"bps": COMMISSION_BPS}),
    )
    allocation = Allocation(name=strategy.name, strategy=strategy, capital=cash)
    return SessionPlan(run_id="benchmark", allocations=[allocation], source=source, execution=execution)


def run(source: TableSource, strategy: Strategy, cash: float) -> RunRecord:
    """Run a strategy in the engine."""
    return run_session(plan(source, strategy, cash))


def read_all(record: RunRecord) -> RunRecord:
    """Ask a record for everything that is put together when it is read."""
    if not (record.digest and len(record.account.equity) and len(record.prices.mark)):
        raise ValueError("the run left nothing to read")
    return record


def _columns(symbols: tuple[str, ...], bar_size: BarSize, values: list[np.ndarray]) -> Columns:
    count, width = len(values[0]), len(symbols)
    calendar = ExchangeCalendar.get(CALENDAR)
    # Two days of the calendar hold a session, and a session a bar or 210 of them at the least: no more labels than that.
    last = FIRST_DAY + 2 * (count // (210 if bar_size.is_intraday else 1)) + 10
    label = calendar.labels(FIRST_DAY, min(LAST_DAY, last), bar_size)[:count]
    known, session = calendar.closing_instants(label, bar_size)
    return Columns(symbols, bar_size, label, known, session, *(value.reshape(count, width) for value in values))
