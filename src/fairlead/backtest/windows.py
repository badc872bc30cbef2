"""History held in memory, and windows of it that end where they end: what comes later is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from fairlead.backtest.kept import KeptSource
from fairlead.backtest.pools.contract import TrialPool
from fairlead.backtest.resuming import check_recorded
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.core.arrays import DayArray
from fairlead.core.errors import DataNotFound
from fairlead.core.time import BarSize, day_to_date
from fairlead.data.memory import MemorySource
from fairlead.data.merging import column_ns
from fairlead.data.selection import DateRange
from fairlead.data.source import DataSource
from fairlead.data.table import BAR_SCHEMA

Window: TypeAlias = tuple[int, int]
"""First and last session, both included, in days since the epoch."""

_PRICES: Final = ("open", "high", "low", "close", "volume")
# No parameter of a strategy has such a name.
_WINDOW: Final = "window|"


@dataclass(frozen=True, slots=True, eq=False)
class HeldHistory:
    """All bars of a source's symbols, those before its first date included, as one table in memory.

    Parameters
    ----------
    source : DataSource
        Where they came from; read for its name, symbols and actions alone.
    table : pyarrow Table
        Canonical bars up to the last date of the source.
    sessions : int32 array of shape (s,)
        Session dates of the source, in days since the epoch; what lies before them warms up and is not traded.
    """

    source: MemorySource
    table: pa.Table
    sessions: DayArray

    @classmethod
    def of(cls, source: DataSource) -> HeldHistory:
        """Read `source` into memory, about 70 bytes for each bar.

        Raises
        ------
        DataNotFound
            If it holds no bar.
        """
        sessions = np.unique(
            np.concatenate([block.session[block.start :] for block in source.blocks(carry=0)] or [np.empty(0, np.int32)])
        )
        if len(sessions) == 0:
            raise DataNotFound(f"dataset {source.name!r} holds no bar in the chosen dates.")
        whole = source.whole()
        table = DateRange(None, day_to_date(int(sessions[-1]))).cut(_table(whole))
        held = _memory(table, whole)
        return cls(held, table, sessions.astype(np.int32))

    def window(self, first: int, last: int) -> MemorySource:
        """Return the sessions from `first` to `last`, in days since the epoch, both included.

        Its `whole` is all history up to `last`, and no further: features warm up on what came before the window, and nothing
        that came after it is in reach.
        """
        return _memory(self._until(last), self.source).select(None, day_to_date(first), day_to_date(last))

    def known_ns(self, last: int) -> int:
        """Return the last instant of session `last`, or of the one before if it has no bar."""
        return int(column_ns(self._until(last), "known")[-1])

    def _until(self, last: int) -> pa.Table:
        return DateRange(None, day_to_date(last)).cut(self.table)


@dataclass(frozen=True, kw_only=True)
class WindowedSetup(TrialSetup):
    """A study whose trials each run on a window of history, stated with their parameters.

    Parameters
    ----------
    history : HeldHistory
        What the windows are cut from; it stands in for the source.
    """

    history: HeldHistory

    @classmethod
    def of(cls, setup: TrialSetup) -> WindowedSetup:
        """Read the history of `setup` into memory.

        Raises
        ------
        DataNotFound
            If it holds no bar.
        """
        history = HeldHistory.of(setup.source)
        shared = {item.name: getattr(setup, item.name) for item in fields(TrialSetup)}
        return cls(**{**shared, "plan": replace(setup.plan, source=history.source, allocations=())}, history=history)

    def task(self, window: Window, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `run` takes: the parameters, and on which sessions to run."""
        return {_WINDOW: window, **params}

    def run(self, params: Mapping[str, Any]) -> Trial:
        """Run what `task` returned."""
        return self.over(params[_WINDOW]).run(_without_window(params))

    def over(self, window: Window) -> TrialSetup:
        """Return the study over one window, with features computed from the history up to its end alone."""
        if window not in self._recent:
            self._recent.clear()
            first, last = window
            shared = {item.name: getattr(self, item.name) for item in fields(TrialSetup)}
            features = self.plan.features.until(self.history.known_ns(last))
            source = KeptSource(self.history.window(first, last))
            plan = replace(self.plan, source=source, features=features)
            self._recent[window] = TrialSetup(**{**shared, "plan": plan})
        return self._recent[window]

    @cached_property
    def _recent(self) -> dict[Window, TrialSetup]:
        # The tasks of a window follow one another: its bars are put together and hashed once, its strategies looked up once.
        return {}


def run_all(
    pool: TrialPool,
    tasks: Sequence[Mapping[str, Any]],
    tell: Callable[[int, Trial], None],
    *,
    recorded: Mapping[int, Trial] | None = None,
) -> list[Trial]:
    """Run every task and return the trials in the order of `tasks`, whichever was finished first.

    Parameters
    ----------
    pool : TrialPool
        Of a `WindowedSetup`.
    tasks : sequence of mapping
        As `WindowedSetup.task` returns them.
    tell : callable
        Given the place of each task and its trial as soon as it is finished.
    recorded : mapping of int to Trial, optional
        Trials that were finished earlier, by their place; they are not run again, nor told.

    Raises
    ------
    DataError
        If a recorded trial has other parameters than the task in its place.
    """
    found = {place: trial for place, trial in (recorded or {}).items() if 0 <= place < len(tasks)}
    for place, trial in found.items():
        check_recorded("what was recorded", trial, _without_window(tasks[place]))
    for place, trial in pool.run([task for task in enumerate(tasks) if task[0] not in found]):
        # One whose process died has no other place for its window than among its parameters.
        found[place] = replace(trial, params=_without_window(trial.params))
        tell(place, found[place])
    return [found[place] for place in range(len(tasks))]


def _without_window(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != _WINDOW}


def _memory(table: pa.Table, like: DataSource) -> MemorySource:
    last = int(table.column("session").cast(pa.int32()).to_numpy()[-1])
    return MemorySource(
        table,
        bar_size=BarSize.parse(like.bar_size),
        calendar=like.calendar,
        actions=tuple(action for action in like.actions if action.ex_session <= last),
        name=like.name,
        synthetic=like.is_synthetic,
        symbols=like.symbols,
    )


def _table(source: DataSource) -> pa.Table:
    symbols = np.array(source.symbols)
    parts = []
    for block in source.blocks(carry=0):
        rows = slice(block.start, None)
        present = ~np.isnan(block.close[rows])
        at, column = np.nonzero(present)
        stamps = {"known": block.known_ns[rows][at], "label": block.label_ns[rows][at]}
        columns = {
            **{name: pa.array(values).cast(BAR_SCHEMA.field(name).type) for name, values in stamps.items()},
            "symbol": pa.array(symbols[column].tolist(), pa.string()),
            "session": pa.array(block.session[rows][at]).cast(pa.date32()),
            **{name: pa.array(getattr(block, name)[rows][present]) for name in _PRICES},
        }
        parts.append(pa.table([columns[name] for name in BAR_SCHEMA.names], schema=BAR_SCHEMA))
    return pa.concat_tables(parts).combine_chunks()
