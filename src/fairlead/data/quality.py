"""The quality of a stored dataset: its service levels and hints, symbol by symbol, from one pass over its months."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from fairlead.contracts.frames import Violation
from fairlead.contracts.frames.reading import CANONICAL
from fairlead.contracts.quality import DataQualitySLA, QualityRecord
from fairlead.contracts.quality.collecting import QualityCollector
from fairlead.contracts.quality.tally import QualityTally
from fairlead.core.arrays import BoolArray, DayArray
from fairlead.core.errors import DataNotFound
from fairlead.core.time import date_to_day, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import Dataset
from fairlead.data.selection import DateRange


class DatasetQuality:
    """Collects what the months of a dataset say of each symbol.

    Parameters
    ----------
    dataset : Dataset
    sla : DataQualitySLA, optional
        Thresholds; those that ship if left out. The bar size is the dataset's.
    reference_time : aware datetime, optional
        The present, of a dataset that a live feed fills.
    start, end : date, optional
        The sessions asked for, both included. Without them, those from a symbol's first to its last bar: one that was listed
        later or delisted earlier than others has no gap there, and is left out if that is outside the range.

    Raises
    ------
    ConfigurationError
        If the range ends before it starts.
    DataNotFound
        If no symbol has bars in it.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        sla: DataQualitySLA | None = None,
        reference_time: dt.datetime | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
    ) -> None:
        DateRange(start, end)  # refuses a range that ends before it starts
        calendar = ExchangeCalendar.get(dataset.manifest.calendar)
        reference = None if reference_time is None else to_ns(reference_time)
        self._dataset = dataset
        self._sla = sla or DataQualitySLA(dataset.bar_size)
        self._last_session: dict[str, int] = {}
        self._collectors: dict[str, QualityCollector] = {}
        for span in dataset.manifest.symbols:
            first, last = date_to_day(start or span.first_session), date_to_day(end or span.last_session)
            if last < first:
                continue
            tally = QualityTally(calendar, dataset.bar_size, first, last, reference_ns=reference)
            self._collectors[span.symbol] = QualityCollector(tally)
        if not self._collectors:
            raise DataNotFound(f"no symbol of dataset {dataset.name!r} has bars from {DateRange(start, end)}.")

    def add(self, symbol: str, through_day: int, bars: pl.DataFrame, violations: Sequence[Violation]) -> None:
        """Take in the bars of one symbol in the sessions up to `through_day`, later than those before.

        Parameters
        ----------
        bars : polars.DataFrame
            ``timestamp``, ``session`` and the canonical columns, in order of time.
        violations : sequence of Violation
            What the contract found about them.
        """
        collector = self._collectors.get(symbol)
        if collector is None:
            return
        session: DayArray = bars["session"].to_physical().to_numpy()
        kept = (session >= collector.tally.first_day) & (session <= collector.tally.last_day)
        columns = {name: bars[name].to_numpy()[kept] for name in CANONICAL}
        excused = self._excused(symbol, session[kept])
        collector.add(bars["timestamp"].to_physical().to_numpy()[kept], columns, through_day, violations, excused)

    def records(self, run_id: str | None = None) -> list[QualityRecord]:
        """Return the record of every symbol, sorted."""
        manifest = self._dataset.manifest
        source = f"{manifest.dataset}: {manifest.source}" if manifest.source else manifest.dataset
        return [collector.record(symbol, self._sla, source, run_id) for symbol, collector in sorted(self._collectors.items())]

    def _excused(self, symbol: str, session: DayArray) -> BoolArray:
        """Return the bars before which a corporate action took effect: the first ones from its session on."""
        if len(session) == 0:
            return np.zeros(0, np.bool_)
        before = np.append(self._last_session.get(symbol, session[0]), session[:-1])
        self._last_session[symbol] = int(session[-1])
        days = np.sort([action.ex_session for action in self._dataset.actions if action.symbol == symbol])
        mask: BoolArray = np.searchsorted(days, session, side="right") > np.searchsorted(days, before, side="right")
        return mask
