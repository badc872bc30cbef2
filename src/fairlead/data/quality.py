"""The quality of a stored dataset: its service levels and hints, symbol by symbol, from one pass over its months."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from fairlead.contracts.frames import Violation
from fairlead.contracts.frames.reading import CANONICAL
from fairlead.contracts.quality import DataQualitySLA, QualityRecord, Severity, SLAResult
from fairlead.contracts.quality.outliers import OutlierWatch
from fairlead.contracts.quality.record import record_of
from fairlead.contracts.quality.tally import QualityTally
from fairlead.core.arrays import BoolArray, DayArray, IntArray
from fairlead.core.time import date_to_day, day_to_date, format_utc, to_datetime, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import Dataset
from fairlead.data.selection import DateRange

OUTLIERS: Final = "outliers"
_ROW: Final = np.dtype([("label", "<i8"), *((name, "<f8") for name in CANONICAL)])


@dataclass(slots=True)
class _Symbol:
    """What has been counted of one symbol."""

    tally: QualityTally
    watch: OutlierWatch = field(default_factory=OutlierWatch)
    digest: Any = field(default_factory=hashlib.sha256)
    outliers: int = 0
    first_outlier_ns: int | None = None
    last_session: int | None = None
    violations: list[Violation] = field(default_factory=list)


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
        later or delisted earlier than others has no gap there.

    Raises
    ------
    ConfigurationError
        If the range ends before it starts.
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
        self._dataset = dataset
        self._calendar = ExchangeCalendar.get(dataset.manifest.calendar)
        self._sla = sla or DataQualitySLA(dataset.bar_size)
        self._actions: dict[str, DayArray] = {}
        for action in dataset.actions:
            known = self._actions.get(action.symbol, np.empty(0, np.int32))
            self._actions[action.symbol] = np.append(known, np.int32(action.ex_session))
        reference = None if reference_time is None else to_ns(reference_time)
        self._symbols = {
            span.symbol: _Symbol(
                QualityTally(
                    self._calendar,
                    dataset.bar_size,
                    date_to_day(start or span.first_session),
                    date_to_day(end or span.last_session),
                    reference_ns=reference,
                )
            )
            for span in dataset.manifest.symbols
        }

    def add(self, symbol: str, through_day: int, bars: pl.DataFrame, violations: Sequence[Violation]) -> None:
        """Take in the bars of one symbol in the sessions up to `through_day`, later than those before.

        Parameters
        ----------
        bars : polars.DataFrame
            ``timestamp``, ``session`` and the canonical columns, in order of time.
        violations : sequence of Violation
            What the contract found about them.
        """
        state = self._symbols[symbol]
        tally = state.tally
        session: DayArray = bars["session"].to_physical().to_numpy()
        kept = (session >= tally.first_day) & (session <= tally.last_day)
        labels: IntArray = bars["timestamp"].to_physical().to_numpy()[kept]
        columns = [bars[name].to_numpy()[kept] for name in CANONICAL]
        tally.add(labels, columns[:4], through_day)
        rows = np.empty(len(labels), _ROW)
        rows["label"] = labels
        for name, column in zip(CANONICAL, columns, strict=True):
            rows[name] = column
        state.digest.update(rows.tobytes())
        jumps = state.watch.add(columns[3], self._excused(symbol, state, session[kept]))
        if jumps.any() and state.first_outlier_ns is None:
            state.first_outlier_ns = int(labels[np.argmax(jumps)])
        state.outliers += int(np.count_nonzero(jumps))
        state.violations += violations

    def records(self, run_id: str | None = None) -> list[QualityRecord]:
        """Return the record of every symbol, sorted."""
        manifest = self._dataset.manifest
        records = []
        for symbol, state in sorted(self._symbols.items()):
            tally = state.tally
            tally.finish()
            asof = tally.asof_ns
            end = day_to_date(tally.last_day)
            records.append(
                record_of(
                    symbol,
                    manifest.bar_size,
                    manifest.calendar,
                    {**self._sla.results_of(tally), OUTLIERS: _outlier_hint(state)},
                    state.violations,
                    run_id=run_id,
                    range={"start": day_to_date(tally.first_day), "end": end},
                    asof=dt.datetime(end.year, end.month, end.day, tzinfo=dt.UTC) if asof is None else to_datetime(asof),
                    gaps=tuple(tally.gaps()),
                    source=f"{manifest.dataset}: {manifest.source}" if manifest.source else manifest.dataset,
                    rows=tally.rows,
                    data_hash=state.digest.hexdigest(),
                )
            )
        return records

    def _excused(self, symbol: str, state: _Symbol, session: DayArray) -> BoolArray:
        """Return the bars before which a corporate action took effect: the first ones from its session on."""
        if len(session) == 0:
            return np.zeros(0, np.bool_)
        before = np.append(session[0] if state.last_session is None else state.last_session, session[:-1])
        state.last_session = int(session[-1])
        days = np.sort(self._actions.get(symbol, np.empty(0, np.int32)))
        mask: BoolArray = np.searchsorted(days, session, side="right") > np.searchsorted(days, before, side="right")
        return mask


def _outlier_hint(state: _Symbol) -> SLAResult:
    count, first, asof = state.outliers, state.first_outlier_ns, state.tally.asof_ns
    where = "" if first is None else f", first at {format_utc(first)}"
    text = f"{count} bars jump as prices rarely do{where}"
    stamp = None if asof is None else to_datetime(asof)
    return SLAResult(OUTLIERS, count == 0, Severity.WARNING, count, 0, text, stamp)
