"""The look-ahead check: cut the data, run again, and see whether anything decided before the cut has changed.

A strategy that uses only what was known decides the same whether or not the future exists. So every order, fill and equity
value up to a cut must be equal, bit for bit, between the full run and a run on data that ends at the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fairlead.core.bars import BarBlock
from fairlead.core.errors import ConfigurationError
from fairlead.core.events import CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderRole, OrderType
from fairlead.core.time import NS_PER_DAY, BarSize, format_utc
from fairlead.data.source import DataSource
from fairlead.engine.record import RunRecord
from fairlead.engine.session import SessionPlan, run_session

DEFAULT_CUTS: Final = 12
_REPLACED: Final = "replaced"
_EXITS: Final = (OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT)
_TRAILING: Final = OrderType.TRAILING_STOP

MakePlan = Callable[[], SessionPlan]
Progress = Callable[[int], None]


class TruncatedSource:
    """A source that ends at an instant; what comes later is not in memory, so nothing can reach it."""

    def __init__(self, source: DataSource, until_ns: int) -> None:
        self._source = source
        self._until_ns = until_ns

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self._source.name

    @property
    def symbols(self) -> tuple[str, ...]:
        """Column order of every block."""
        return self._source.symbols

    @property
    def bar_size(self) -> BarSize:
        """Length of a bar."""
        return self._source.bar_size

    @property
    def calendar(self) -> str:
        """Name of the exchange calendar."""
        return self._source.calendar

    @property
    def is_synthetic(self) -> bool:
        """Whether the prices were generated."""
        return self._source.is_synthetic

    @property
    def content_hash(self) -> str:
        """Hash of the whole selection, marked with the cut."""
        return f"{self._source.content_hash}@{self._until_ns}"

    @property
    def actions(self) -> tuple[CorporateAction, ...]:
        """Corporate actions up to the day of the cut; east of Greenwich a session may carry the next day's date."""
        last_day = self._until_ns // NS_PER_DAY + 1
        return tuple(action for action in self._source.actions if action.ex_session <= last_day)

    @property
    def expected_rows(self) -> int:
        """An upper bound."""
        return self._source.expected_rows

    def whole(self) -> TruncatedSource:
        """Return all dates there are, up to the cut."""
        whole = self._source.whole()
        return self if whole is self._source else TruncatedSource(whole, self._until_ns)

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield history up to the cut. The block that holds the cut is copied, so that no array leads back to the rest."""
        for block in self._source.blocks(carry=carry):
            end = int(np.searchsorted(block.known_ns, self._until_ns, side="right"))
            if end <= block.start:
                return
            is_last = end < len(block) or int(block.known_ns[-1]) == self._until_ns
            yield _head(block, end) if is_last else block
            if is_last:
                return


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first difference that a cut brought to light."""

    cut_ns: int
    what: str
    full: str
    truncated: str

    def __str__(self) -> str:
        return (
            f"with data up to {format_utc(self.cut_ns)}, {self.what} differs: "
            f"the full run had {self.full}, the truncated run {self.truncated}"
        )


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """The outcome of a check.

    Attributes
    ----------
    cuts : tuple of int
        Instants at which the data was cut, nanoseconds.
    orders, fills : int
        How many were compared over all cuts.
    divergences : tuple of Divergence
        One per cut that failed; empty if the strategy sees no future.
    """

    cuts: tuple[int, ...]
    orders: int
    fills: int
    divergences: tuple[Divergence, ...]

    @property
    def passed(self) -> bool:
        """Whether no earlier decision changed."""
        return not self.divergences


def check_lookahead(make_plan: MakePlan, *, cuts: int = DEFAULT_CUTS, progress: Progress | None = None) -> LookaheadReport:
    """Run a plan on full and on truncated data and compare what happened before each cut.

    Parameters
    ----------
    make_plan : callable
        Makes the plan afresh: strategies keep state, so no run may reuse another's.
    cuts : int
        How many truncated runs. They end at instants at which orders were decided, spread evenly; the rest at even distances.
    progress : callable, optional
        Told how many runs are done.

    Raises
    ------
    ConfigurationError
        If `cuts` is below 1.
    """
    if cuts < 1:
        raise ConfigurationError.of("cuts", "be at least 1", cuts)
    full = run_session(make_plan())
    chosen = choose_cuts(full, cuts)
    divergences: list[Divergence] = []
    orders = fills = 0
    for done, cut in enumerate(chosen, start=1):
        plan = make_plan()
        truncated = run_session(replace(plan, source=TruncatedSource(plan.source, cut), features=plan.features.until(cut)))
        orders += sum(o.created_ns <= cut for o in full.orders)
        fills += sum(f.ts_ns <= cut for f in full.fills)
        found = compare(full, truncated, cut)
        if found is not None:
            divergences.append(found)
        if progress is not None:
            progress(done)
    return LookaheadReport(chosen, orders, fills, tuple(divergences))


def choose_cuts(record: RunRecord, count: int) -> tuple[int, ...]:
    """Return up to `count` instants: half at decisions, where a peek at the next bar shows, half at even distances."""
    instants = record.account.ts_ns
    decisions = np.unique(np.array([o.created_ns for o in record.orders], dtype=np.int64))
    at_decisions = min(len(decisions), (count + 1) // 2)
    picked = set(_spread(decisions, at_decisions)) | set(_spread(instants[:-1], count - at_decisions))
    return tuple(sorted(picked))


def compare(full: RunRecord, truncated: RunRecord, cut_ns: int) -> Divergence | None:
    """Return the first difference between two runs at or before `cut_ns`, or None."""
    later = {u.order_id for u in full.updates if u.reason == _REPLACED and u.ts_ns > cut_ns}
    pairs: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
        ("order", _orders_until(full.orders, cut_ns, later), _orders_until(truncated.orders, cut_ns, later)),
        ("fill", _fills_until(full.fills, cut_ns), _fills_until(truncated.fills, cut_ns)),
        ("equity", _equity_until(full, cut_ns), _equity_until(truncated, cut_ns)),
        ("strategy", _failures_until(full, truncated), _failures_until(truncated, truncated)),
    )
    for what, a, b in pairs:
        for i in range(max(len(a), len(b))):
            left = a[i] if i < len(a) else "none"
            right = b[i] if i < len(b) else "none"
            if left != right:
                return Divergence(cut_ns, f"{what} {i + 1}", left, right)
    return None


def _spread(instants: np.ndarray, count: int) -> list[int]:
    if count <= 0 or len(instants) == 0:
        return []
    # Inner points of count + 2: the very first and last instants prove little.
    at = np.linspace(0, len(instants) - 1, count + 2)[1:-1].round().astype(int)
    return [int(ns) for ns in instants[at]]


def _orders_until(orders: Sequence[Order], cut_ns: int, later: AbstractSet[str]) -> list[str]:
    return [_as_decided(order, replaced=order.order_id in later) for order in orders if order.created_ns <= cut_ns]


def _as_decided(order: Order, *, replaced: bool) -> str:
    # A split after the cut scales an order that still works, a market that goes on moves its trail, fills of its parent make
    # an exit larger: none is a decision of the strategy's before the cut, and neither is a replacement after it.
    quantity, limit, stop = order.decision
    terms = "" if replaced or order.role in _EXITS else f"{quantity!r} "
    prices = "" if replaced else f"limit={limit!r} stop={None if order.order_type is _TRAILING else stop!r} "
    return (
        f"{format_utc(order.created_ns)} {order.strategy} {order.side} {terms}{order.decided_symbol or order.symbol} "
        f"{order.order_type} {prices}{order.time_in_force} {order.tag}"
    )


def _fills_until(fills: Sequence[Fill], cut_ns: int) -> list[str]:
    return [
        f"{format_utc(f.ts_ns)} {f.strategy} {f.side} {f.quantity!r} {f.symbol} at {f.price!r} commission={f.commission!r}"
        for f in fills
        if f.ts_ns <= cut_ns
    ]


def _equity_until(record: RunRecord, cut_ns: int) -> list[str]:
    end = int(np.searchsorted(record.account.ts_ns, cut_ns, side="right"))
    instants, equity = record.account.ts_ns[:end].tolist(), record.account.equity[:end].tolist()
    return [f"{format_utc(t)} {e!r}" for t, e in zip(instants, equity, strict=True)]


def _failures_until(record: RunRecord, truncated: RunRecord) -> list[str]:
    # A strategy that fails only on truncated data reached for something that was not there.
    failed = {s.name for s in truncated.strategies if s.error}
    return [f"{s.name}: {s.error or 'completed'}" for s in record.strategies if s.name in failed]


def _head(block: BarBlock, end: int) -> BarBlock:
    rows = slice(0, end)
    return replace(
        block,
        label_ns=block.label_ns[rows].copy(),
        known_ns=block.known_ns[rows].copy(),
        session=block.session[rows].copy(),
        open=block.open[rows].copy(),
        high=block.high[rows].copy(),
        low=block.low[rows].copy(),
        close=block.close[rows].copy(),
        volume=block.volume[rows].copy(),
        mark=block.mark[rows].copy(),
        actions=tuple(e for e in block.actions if e.row < end),
    )
