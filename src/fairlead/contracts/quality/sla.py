"""The five service levels of price data (domain 2.5)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from fairlead.contracts.frames.reading import CANONICAL, FrameView, view_frame
from fairlead.contracts.quality.expected import sessions_spanned
from fairlead.contracts.quality.result import Severity, SLAResult
from fairlead.contracts.quality.tally import QualityTally
from fairlead.contracts.sessions import SessionCalendar, require_calendar
from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.time import BarSize, date_to_day, format_utc, to_datetime, to_ns

LATENESS: Final = "lateness_minutes"
NO_NAN: Final = "no_nan_ohlc"
NO_REPEATS: Final = "no_dupe_index"
LOOKBACK: Final = "lookback_gap"
PRICES: Final = CANONICAL[:4]
NO_ROWS: Final = "there are no rows"


@dataclass(frozen=True, slots=True)
class DataQualitySLA:
    """The service levels that data must meet before anything is decided on it; all of them are fatal.

    ``m5_completeness`` (named by the bar size) is the share of the calendar's bars that are there; ``lateness_minutes`` how
    long the next bar has been due; ``no_nan_ohlc`` counts prices that are no numbers; ``no_dupe_index`` repeated stamps;
    ``lookback_gap`` the bars missing among the last ones that a pattern needs. What cannot be measured is not met.

    Parameters
    ----------
    bar_size : BarSize
    min_completeness : float
        Share of expected bars, 0 to 1.
    max_lateness_minutes : float
    lookback_bars : int
        How many bars of the calendar, up to the last stamp, must be without a gap.
    """

    bar_size: BarSize = BarSize.M5
    min_completeness: float = 0.99
    max_lateness_minutes: float = 5.0
    lookback_bars: int = 50

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_completeness <= 1.0:
            raise ConfigurationError.of("min_completeness", "be a share from 0 to 1", self.min_completeness)
        if not self.max_lateness_minutes >= 0.0:
            raise ConfigurationError.of("max_lateness_minutes", "be 0 or more", self.max_lateness_minutes)
        if self.lookback_bars < 1:
            raise ConfigurationError.of("lookback_bars", "be 1 or more", self.lookback_bars)

    @property
    def completeness_name(self) -> str:
        """``m5_completeness``, or the like for another bar size."""
        return f"{self.bar_size.name.lower()}_completeness"

    def check_all(
        self,
        df: Any,
        calendar: SessionCalendar,
        reference_time: dt.datetime | None = None,
        *,
        start: dt.date | None = None,
        end: dt.date | None = None,
    ) -> dict[str, SLAResult]:
        """Return every level by name. Never raises for bad data.

        Parameters
        ----------
        df : pandas.DataFrame or polars.DataFrame
        calendar : SessionCalendar
        reference_time : aware datetime, optional
            The present, of a live feed: bars that close later are not expected, and lateness is measured.
        start, end : date, optional
            The sessions asked for, both included; without them, those that the frame's stamps span, as wholes.

        Raises
        ------
        ContractError
            If `reference_time` has no time zone.
        ConfigurationError
            If `calendar` is none, or `end` is before `start`, or before the first bar if there is no `start`.
        """
        require_calendar(calendar)
        reference = None if reference_time is None else to_ns(reference_time)
        view = view_frame(df)
        reason = _unusable(view)
        if view is None or view.label_ns is None or reason:
            return self.unmeasured(reason, reference)
        try:
            first, last = sessions_spanned(calendar, view.label_ns, self.bar_size)
            first = first if start is None else date_to_day(start)
            last = last if end is None else date_to_day(end)
            tally = QualityTally(calendar, self.bar_size, first, last, reference_ns=reference)
            tally.add(view.label_ns, [view.values[name] for name in PRICES if name in view.values], last)
            return self.results_of(tally)
        except DataError as exc:
            return self.unmeasured(str(exc), reference)

    def results_of(self, tally: QualityTally) -> dict[str, SLAResult]:
        """Return every level by name, from what was counted."""
        if tally.rows == 0:
            return self.unmeasured(NO_ROWS, tally.reference_ns)
        asof = tally.asof_ns
        found = [self._completeness(tally, asof), *self._lateness(tally, asof), *self._faults(tally, asof)]
        return {result.sla_name: result for result in found}

    def unmeasured(self, reason: str, reference_ns: int | None = None) -> dict[str, SLAResult]:
        """Return every level as not met, because of `reason`: nothing could be measured."""
        thresholds = {self.completeness_name: self.min_completeness, LATENESS: self.max_lateness_minutes}
        thresholds |= dict.fromkeys((NO_NAN, NO_REPEATS, LOOKBACK), 0)
        if reference_ns is None:
            del thresholds[LATENESS]
        # Of the bars that should be there, none is: that much is known.
        values = {self.completeness_name: 0.0}
        return {
            name: _result(name, values.get(name), threshold, reason, reference_ns, passed=False)
            for name, threshold in thresholds.items()
        }

    def _completeness(self, tally: QualityTally, asof: int | None) -> SLAResult:
        share, message = 1.0, "no sessions"
        if tally.expected:
            share = tally.present / tally.expected
            message = f"{tally.present:,} of {tally.expected:,} bars"
        passed = share >= self.min_completeness
        return _result(self.completeness_name, share, self.min_completeness, message, asof, passed=passed)

    def _lateness(self, tally: QualityTally, asof: int | None) -> list[SLAResult]:
        if tally.reference_ns is None:
            return []
        overdue = tally.overdue_minutes()
        passed = overdue is not None and overdue <= self.max_lateness_minutes
        last = "" if tally.last_ns is None else format_utc(tally.last_ns)
        message = f"the bar after {last} is {overdue:g} minutes overdue" if overdue else f"no bar after {last} is overdue"
        return [_result(LATENESS, overdue, self.max_lateness_minutes, message, asof, passed=passed)]

    def _faults(self, tally: QualityTally, asof: int | None) -> list[SLAResult]:
        gap = tally.recent_gaps(self.lookback_bars)
        first = f", first at {format_utc(int(gap[0]))}" if len(gap) else ""
        cells = tally.bad_cells
        texts: dict[str, tuple[int | None, str]] = {
            NO_NAN: (cells, "a price column is missing or not numeric" if cells is None else f"{cells} prices are no numbers"),
            NO_REPEATS: (tally.repeats, f"{tally.repeats} rows repeat a stamp"),
            LOOKBACK: (len(gap), f"{len(gap)} of the last {self.lookback_bars} bars missing{first}"),
        }
        return [_result(name, count, 0, text, asof, passed=count == 0) for name, (count, text) in texts.items()]


def _unusable(view: FrameView | None) -> str:
    if view is None:
        return "it is neither a pandas nor a polars DataFrame"
    if view.label_ns is None:
        return f"there are no stamps: {view.index_text}"
    if view.missing:
        return "some stamps are missing"
    if view.rows == 0:
        return NO_ROWS
    return "" if view.tz == "UTC" else f"the time zone of the index must be UTC, was {view.tz}"


def _result(
    name: str, measured: float | None, threshold: float, message: str, asof_ns: int | None, *, passed: bool
) -> SLAResult:
    stamp = None if asof_ns is None else to_datetime(asof_ns)
    return SLAResult(name, passed, Severity.FATAL, measured, threshold, message, stamp)
