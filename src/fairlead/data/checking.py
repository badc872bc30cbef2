"""Checking a stored dataset: are the files those that the manifest names, and do the bars still pass the door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from fairlead.contracts.frames import DailyFrameSpec, IntradayFrameSpec, Violation
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import Dataset, read_month
from fairlead.data.quality import DatasetQuality
from fairlead.data.wide import check_wide

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class SymbolCheck:
    """What was found about one symbol in one month file.

    Attributes
    ----------
    violations : tuple of Violation
        Empty if every bar passes.
    """

    symbol: str
    month: str
    bars: int
    violations: tuple[Violation, ...]


def check_dataset(
    dataset: Dataset,
    progress: Progress | None = None,
    *,
    quality: DatasetQuality | None = None,
    contracts: bool = True,
) -> Iterator[SymbolCheck]:
    """Verify every file of a dataset and check its bars, month by month, so that memory stays flat.

    Parameters
    ----------
    dataset : Dataset
    progress : callable, optional
        Told how many files are done.
    quality : DatasetQuality, optional
        Takes in every month on the way.
    contracts : bool
        Whether bars are held to their contract; files are verified in any case.

    Raises
    ------
    DataError
        If a file was changed, is missing or cannot be read, or a wide form is not that of its month.
    """
    calendar = ExchangeCalendar.get(dataset.manifest.calendar)
    for done, file in enumerate(dataset.manifest.files, start=1):
        dataset.verify_file(file)
        table = read_month(dataset.folder, file)
        if dataset.wide_path(file).is_file():
            check_wide(dataset.wide_path(file), table, file.content_sha256)
        month = file.path.rpartition("/")[0].replace("year=", "").replace("/month=", "-")
        for symbol, bars in _frames(table):
            violations = _violations(bars, dataset.bar_size, calendar) if contracts else ()
            if quality is not None:
                quality.add(symbol, date_to_day(file.last_session), bars, violations)
            yield SymbolCheck(symbol, month, bars.height, violations)
        if progress is not None:
            progress(done)


def _frames(table: pa.Table) -> Iterator[tuple[str, pl.DataFrame]]:
    frame = pl.DataFrame(pl.from_arrow(table))
    prices = ("open", "high", "low", "close", "volume")
    columns = [pl.col("label").alias("timestamp"), *(pl.col(name).alias(name.upper()) for name in prices), pl.col("session")]
    for (symbol,), bars in frame.sort("symbol", "label").group_by(["symbol"], maintain_order=True):
        yield str(symbol), bars.select(columns)


def _violations(bars: pl.DataFrame, bar_size: BarSize, calendar: ExchangeCalendar) -> tuple[Violation, ...]:
    if bar_size.is_intraday:
        return tuple(IntradayFrameSpec(bar_size=bar_size).validate(bars, calendar)[1])
    return tuple(DailyFrameSpec().validate(bars, calendar)[1])
