"""From bars to the record of their quality: of a whole frame at once, or of one symbol's bars piece by piece."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from fairlead.contracts.frames import DailyFrameSpec, IntradayFrameSpec
from fairlead.contracts.frames.reading import CANONICAL, view_frame
from fairlead.contracts.frames.violation import Violation, contract_error
from fairlead.contracts.quality.expected import sessions_spanned
from fairlead.contracts.quality.outliers import OutlierWatch
from fairlead.contracts.quality.record import DayRange, QualityRecord, record_of
from fairlead.contracts.quality.result import Severity, SLAResult
from fairlead.contracts.quality.sla import DataQualitySLA
from fairlead.contracts.quality.tally import QualityTally
from fairlead.contracts.sessions import SessionCalendar
from fairlead.core.arrays import BoolArray, FloatArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_DAY, date_to_day, day_to_date, format_utc, to_datetime, to_ns

OUTLIERS: Final = "outliers"
_ROW: Final = np.dtype([("label", "<i8"), *((name, "<f8") for name in CANONICAL)])
# Without these there are no stamps or numbers that anything could be said of.
_UNREADABLE: Final = frozenset({"D01", "D02", "D03", "D10"})


class QualityCollector:
    """Collects what the bars of one symbol say, handed in piece by piece in order of time.

    Parameters
    ----------
    tally : QualityTally
        Empty so far.
    """

    def __init__(self, tally: QualityTally) -> None:
        self.tally = tally
        self._watch = OutlierWatch()
        self._digest = hashlib.sha256()
        self._outliers = 0
        self._first_outlier_ns: int | None = None
        self._violations: list[Violation] = []

    def add(
        self,
        label_ns: IntArray,
        columns: Mapping[str, FloatArray],
        through_day: int,
        violations: Sequence[Violation] = (),
        excused: BoolArray | None = None,
    ) -> None:
        """Take in the bars of the sessions up to `through_day`, of which none has been taken in before.

        Parameters
        ----------
        label_ns : int64 array of shape (n,)
        columns : mapping of str to float64 array of shape (n,)
            The canonical columns.
        violations : sequence of Violation
            What the contract found about these bars.
        excused : bool array of shape (n,), optional
            Bars whose jump a corporate action explains.
        """
        self.tally.add(label_ns, [columns[name] for name in CANONICAL[:4]], through_day)
        rows = np.empty(len(label_ns), _ROW)
        rows["label"] = label_ns
        for name in CANONICAL:
            rows[name] = columns[name]
        self._digest.update(rows.tobytes())
        jumps = self._watch.add(columns["CLOSE"], excused)
        if jumps.any() and self._first_outlier_ns is None:
            self._first_outlier_ns = int(label_ns[np.argmax(jumps)])
        self._outliers += int(np.count_nonzero(jumps))
        self._violations += violations

    def record(self, symbol: str, sla: DataQualitySLA, source: str, run_id: str | None = None) -> QualityRecord:
        """Return the record of all that came."""
        tally = self.tally
        tally.finish()
        # Of what no bar came, the end of the range is all that can be said.
        asof = tally.last_day * NS_PER_DAY if tally.asof_ns is None else tally.asof_ns
        return record_of(
            symbol,
            tally.bar_size,
            tally.calendar.name,
            {**sla.results_of(tally), OUTLIERS: self._outlier_hint(asof)},
            self._violations,
            run_id=run_id,
            range=DayRange(start=day_to_date(tally.first_day), end=day_to_date(tally.last_day)),
            asof=to_datetime(asof),
            gaps=tuple(tally.gaps()),
            source=source,
            rows=tally.rows,
            data_hash=self._digest.hexdigest(),
        )

    def _outlier_hint(self, asof_ns: int) -> SLAResult:
        first = self._first_outlier_ns
        where = "" if first is None else f", first at {format_utc(first)}"
        text = f"{self._outliers} bars jump as prices rarely do{where}"
        return SLAResult(OUTLIERS, self._outliers == 0, Severity.WARNING, self._outliers, 0, text, to_datetime(asof_ns))


def check_frame(
    df: Any,
    symbol: str,
    calendar: SessionCalendar,
    *,
    sla: DataQualitySLA | None = None,
    tz: str = "UTC",
    reference_time: dt.datetime | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    source: str = "",
    run_id: str | None = None,
) -> QualityRecord:
    """Return the record of a frame: its contract, its service levels and its hints.

    Parameters
    ----------
    df : pandas.DataFrame or polars.DataFrame
        Bars of the size that `sla` names.
    sla : DataQualitySLA, optional
        Thresholds; those of five-minute bars if left out.
    tz, reference_time, start, end
        As for `IntradayFrameSpec.validate` and `DataQualitySLA.check_all`.

    Raises
    ------
    ContractError
        If the frame cannot be read at all: columns or stamps are missing, or are no numbers and no instants.
    ConfigurationError
        If the frame is empty and no range says what should be there.
    DataError
        If the range is beyond the dates for which the calendar is known.
    """
    levels = sla or DataQualitySLA()
    size = levels.bar_size
    if size.is_intraday:
        _, found = IntradayFrameSpec(size).validate(df, calendar, tz)
    else:
        _, found = DailyFrameSpec().validate(df, calendar)
    view = view_frame(df)
    unreadable = [violation for violation in found if violation.code in _UNREADABLE]
    if view is None or view.label_ns is None or unreadable:
        raise contract_error(f"frame of {symbol} ({size})", unreadable)
    if view.rows == 0 and (start is None or end is None):
        raise ConfigurationError.of("start and end", "be given for an empty frame", f"{start} and {end}")
    first, last = (0, 0) if view.rows == 0 else sessions_spanned(calendar, view.label_ns, size)
    tally = QualityTally(
        calendar,
        size,
        first if start is None else date_to_day(start),
        last if end is None else date_to_day(end),
        reference_ns=None if reference_time is None else to_ns(reference_time),
    )
    collector = QualityCollector(tally)
    collector.add(view.label_ns, view.values, tally.last_day, found)
    return collector.record(symbol, levels, source, run_id)
