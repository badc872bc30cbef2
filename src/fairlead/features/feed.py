"""Features of a run: the bars of a source, block after block or slice after slice, become values at every instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.bars import BarBlock
from fairlead.core.errors import ConfigurationError, StrategyError, UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.time import NS_PER_MINUTE
from fairlead.data.source import DataSource
from fairlead.features.inputs import BENCHMARK, FACT, QUOTES
from fairlead.features.plan import Find, Plan, Request, make_plan
from fairlead.features.program import Program
from fairlead.features.rebasing import Rebasing, in_units_of_the_day
from fairlead.features.registry import find_feature

if TYPE_CHECKING:
    from fairlead.data.facts import Facts

_CELLS_AT_WORK: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SideData:
    """What features may read beside the bars.

    Parameters
    ----------
    benchmark : str
        The symbol whose closes are the column ``benchmark``; empty for none.
    facts : Facts, optional
        Where the columns ``fact.*`` come from.
    """

    benchmark: str = ""
    facts: Facts | None = None


class RunFeed(Protocol):
    """What a run takes its features from."""

    @property
    def plan(self) -> Plan:
        """What was asked for."""

    def take(self, block: BarBlock) -> None:
        """Find the values of the delivered rows of the block that follows."""

    def values(self, label: str) -> Sequence[FloatArray]:
        """Return the values in the last block: per output one array of shape (rows delivered, symbols), in units of the day."""


class Feed:
    """Values of features while history passes.

    A block of many rows and a block of one are the same to it: a backtest hands over the former, live trading the latter, and
    the numbers are equal to the bit.

    Parameters
    ----------
    requests : mapping of str to str or (str, mapping)
        Label -> a feature's name, or its name and parameters.
    symbols : sequence of str
        Columns of the blocks.
    actions : sequence of CorporateAction
        Ordered by ex-session.
    side : SideData
    find : callable
        Name -> feature.

    Attributes
    ----------
    plan : Plan

    Raises
    ------
    UnknownName, ConfigurationError
        If a request is wrong, or needs what bars and `side` do not have.
    """

    def __init__(
        self,
        requests: Mapping[str, Request],
        symbols: Sequence[str],
        *,
        actions: Sequence[CorporateAction] = (),
        calendar: str = "XNYS",
        side: SideData | None = None,
        find: Find = find_feature,
    ) -> None:
        self.plan = make_plan(requests, find)
        self._symbols = tuple(symbols)
        self._side = side or SideData()
        self._actions = tuple(actions)
        self._calendar = calendar
        check_columns(self.plan, self._symbols, self._side)
        self._program = Program(self.plan)
        self._state = self._program.new_state(len(self._symbols))
        self._rebasing = Rebasing(self._symbols, self._actions)
        self._values: dict[str, list[FloatArray]] = {}

    def warm(self, source: DataSource, until_ns: int) -> None:
        """Take in what `source` has before an instant, so that the first value of a run stands on all that came before it.

        Parameters
        ----------
        source : DataSource
            With the same symbols, from the beginning.
        until_ns : int
            Bars that became known at or after it are left out.
        """
        for block in source.blocks(carry=0):
            stop = int(np.searchsorted(block.known_ns, until_ns))
            if stop > block.start:
                self._advance(block, block.start, stop, {})
            if stop < len(block):
                return

    def take(self, block: BarBlock) -> None:
        """Compute the delivered rows of the block that follows."""
        count = len(block) - block.start
        asked = self.plan.asked.items()
        self._values = {label: [np.empty((count, len(self._symbols))) for _ in node.feature.outputs] for label, node in asked}
        self._advance(block, block.start, len(block), self._values)

    def values(self, label: str) -> Sequence[FloatArray]:
        """Return the values in the last block: per output one array of shape (rows delivered, symbols), in units of the day."""
        return self._values[label]

    def _advance(self, block: BarBlock, first: int, stop: int, results: Mapping[str, Sequence[FloatArray]]) -> None:
        for rows in self._tiles(block, first, stop):
            price, volume = self._rebasing.advance(block, rows)
            values = np.empty((len(self._symbols), self.plan.width, rows.stop - rows.start))
            for slot, name in enumerate(self.plan.columns):
                values[:, slot] = self._column(name, block, rows, price, volume)
            self._run(values)
            at = slice(rows.start - first, rows.stop - first)
            for label, arrays in results.items():
                node = self.plan.asked[label]
                for i, (output, array) in enumerate(zip(node.feature.outputs, arrays, strict=True)):
                    array[at] = in_units_of_the_day(
                        values[:, node.first + i], output.unit, {"price": price, "volume": volume}
                    ).T

    def _tiles(self, block: BarBlock, first: int, stop: int) -> Iterator[slice]:
        step = max(1, _CELLS_AT_WORK // (self.plan.width * len(self._symbols)))
        begin = first
        for change in self._rebasing.renames(block, first, stop):
            yield from (slice(at, min(at + step, change.row)) for at in range(begin, change.row, step))
            # What the old name's bars have left behind, the new name's go on with.
            self._rebasing.rename(change)
            self._state[change.new] = self._state[change.old]
            begin = change.row
        yield from (slice(at, min(at + step, stop)) for at in range(begin, stop, step))

    def _run(self, values: FloatArray) -> None:
        try:
            self._program.run(self._state, values)
        except Exception as exc:  # a kernel may be a third party's, and raise anything
            names = ", ".join(sorted({node.feature.name for node in self.plan.nodes}))
            raise StrategyError(f"one of the features {names} raised {type(exc).__name__}: {exc}.") from exc

    def _column(self, name: str, block: BarBlock, rows: slice, price: FloatArray, volume: FloatArray) -> FloatArray:
        close = block.close[rows].T
        if name == "volume":
            return np.asarray(block.volume[rows].T * volume)
        if name == "session":
            return np.where(np.isnan(close), np.nan, block.session[rows].astype(np.float64))
        if name == "minute":
            return np.where(np.isnan(close), np.nan, block.label_ns[rows] / NS_PER_MINUTE)
        if name == BENCHMARK:
            of = self._symbols.index(self._side.benchmark)
            return np.asarray(close[of] / price[of])
        if name.startswith(FACT) and self._side.facts is not None:
            return self._fact(self._side.facts, name.removeprefix(FACT), block, rows, price)
        column: FloatArray = getattr(block, name)[rows].T / price
        return column

    def _fact(self, facts: Facts, field: str, block: BarBlock, rows: slice, price: FloatArray) -> FloatArray:
        known = block.known_ns[rows]
        panel = facts.panel(field, self._symbols, known, actions=self._actions, calendar=self._calendar).T
        panel = np.where(np.isnan(block.close[rows].T), np.nan, panel)
        return np.asarray(panel / price) if field in facts.per_share else panel


def open_feed(
    requests: Mapping[str, Request],
    source: DataSource,
    first: BarBlock,
    *,
    side: SideData | None = None,
    find: Find = find_feature,
) -> Feed:
    """Return a feed that has taken in all of `source`'s history before its `first` block.

    Raises
    ------
    UnknownName, ConfigurationError
        See `Feed`.
    """
    whole = source.whole()
    feed = Feed(requests, source.symbols, actions=whole.actions, calendar=source.calendar, side=side, find=find)
    if whole is not source:
        feed.warm(whole, int(first.known_ns[first.start]))
    return feed


def check_columns(plan: Plan, symbols: Sequence[str], side: SideData) -> None:
    """Refuse a plan that reads what bars and `side` do not have.

    Raises
    ------
    UnknownName, ConfigurationError
        Naming what is missing, and where to set it.
    """
    for name in plan.columns:
        if name in QUOTES:
            raise ConfigurationError(
                f"a feature reads {name!r}, and bars have no quotes. Compute it on quotes: fairlead.features.order_flow."
            )
        if name == BENCHMARK and side.benchmark not in symbols:
            if side.benchmark:
                raise UnknownName.among("benchmark symbol of this run", side.benchmark, symbols)
            raise ConfigurationError(
                "a feature reads 'benchmark', and none is named. Set features.benchmark to a symbol of the run."
            )
        if name.startswith(FACT):
            field = name.removeprefix(FACT)
            if side.facts is None:
                raise ConfigurationError(
                    f"a feature reads {name!r}, and there are no facts. Set features.facts to a file of them."
                )
            if field not in side.facts.fields:
                raise UnknownName.among("fact", field, side.facts.fields)
