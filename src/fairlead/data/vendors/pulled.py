"""What a pull brought, counted while it goes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fairlead.contracts.manifests import BarManifest
from fairlead.contracts.quality.tally import QualityTally
from fairlead.core.arrays import DayArray
from fairlead.core.time import BarSize, date_to_day, day_to_date
from fairlead.data.batch import QuarantinedRow
from fairlead.data.merging import column_ns, session_days
from fairlead.data.vendors.planning import AskFor
from fairlead.data.vendors.spool import DonePage


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolPull:
    """What came of one symbol.

    Attributes
    ----------
    rows, days : int
        Bars that passed the door, and the sessions that they are of.
    actions : int
        Corporate actions.
    quarantined : int
        Bars that were put aside.
    gaps : int
        Bars that the calendar has and the vendor had not, in the sessions that were asked for. Sessions before the symbol's
        first bar do not count: it may not have been listed.
    gap_days : tuple of date
        The sessions that they are of.
    """

    symbol: str
    rows: int = 0
    days: int = 0
    actions: int = 0
    quarantined: int = 0
    gaps: int = 0
    gap_days: tuple[dt.date, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullResult:
    """What a pull did.

    Attributes
    ----------
    first, last : date
        What was asked for; `last` is no later than the newest bar could be.
    symbols : tuple of SymbolPull
        Sorted; also those of which everything was there.
    quarantined : tuple of QuarantinedRow
    requests : int
        What the vendor was asked, failures included.
    added, revised : int
        Bars that the dataset did not have, and those that it had with other values.
    manifest : BarManifest or None
        Of the dataset; None if no bar came, and there is none.
    unknown : mapping of str to str
        The symbols of which the dataset has no bar, with what the vendor said of each; empty if it said nothing.
    """

    dataset: str
    source: str
    bar_size: BarSize
    first: dt.date
    last: dt.date
    symbols: tuple[SymbolPull, ...]
    quarantined: tuple[QuarantinedRow, ...]
    requests: int
    added: int
    revised: int
    manifest: BarManifest | None
    unknown: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, without the manifest."""
        return {
            "dataset": self.dataset,
            "source": self.source,
            "bar_size": self.bar_size.value,
            "start": self.first.isoformat(),
            "end": self.last.isoformat(),
            "requests": self.requests,
            "added": self.added,
            "revised": self.revised,
            "unknown": dict(self.unknown),
            "symbols": [
                {**asdict(symbol), "gap_days": [day.isoformat() for day in symbol.gap_days]} for symbol in self.symbols
            ],
            "quarantined": [row._asdict() for row in self.quarantined],
        }


class SymbolTally:
    """Counts the pages of one symbol.

    Parameters
    ----------
    symbol : str
    now_ns : int
        Bars that close later are not expected.

    Attributes
    ----------
    refused : str
        Why the vendor is not asked about it any more; empty while it is.
    """

    def __init__(self, symbol: str, now_ns: int) -> None:
        self._symbol, self._now_ns = symbol, now_ns
        self._rows = self._actions = 0
        self._days: set[int] = set()
        self._absent: list[DayArray] = []
        self.quarantined: list[QuarantinedRow] = []
        self.refused = ""

    def add(self, page: DonePage, through_day: int) -> None:
        """Count a page, of which the sessions up to `through_day` are complete."""
        request = page.task.request
        self._rows += page.table.num_rows
        self._actions += len(page.actions)
        self._days.update(session_days(page.table).tolist())
        self.quarantined += page.quarantined
        first, last = date_to_day(request.first), min(through_day, date_to_day(request.last))
        if page.task.kind is AskFor.BARS and first <= last:
            tally = QualityTally(request.calendar, request.bar_size, first, last, reference_ns=self._now_ns)
            tally.add(column_ns(page.table, "label"), (), last)
            self._absent.append(tally.absent().session)

    def result(self, first_day: int) -> SymbolPull:
        """Return what came, given the first session of which the dataset has a bar."""
        absent = np.concatenate(self._absent) if self._absent else np.empty(0, np.int32)
        absent = absent[absent >= first_day]
        return SymbolPull(
            symbol=self._symbol,
            rows=self._rows,
            days=len(self._days),
            actions=self._actions,
            quarantined=len(self.quarantined),
            gaps=len(absent),
            gap_days=tuple(day_to_date(day) for day in np.unique(absent).tolist()),
        )
