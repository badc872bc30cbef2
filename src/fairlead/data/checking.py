"""Checking a stored dataset: are the files those that the manifest names, and do the bars still pass the door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from fairlead.contracts.frames import DailyFrameSpec, IntradayFrameSpec, Violation
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import Dataset, read_month
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


def check_dataset(dataset: Dataset, progress: Progress | None = None) -> Iterator[SymbolCheck]:
    """Verify every file of a dataset and check its bars, month by month, so that memory stays flat.

    Parameters
    ----------
    dataset : Dataset
    progress : callable, optional
        Told how many files are done.

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
        yield from _check_month(dataset, table, file.path, calendar)
        if progress is not None:
            progress(done)


def _check_month(dataset: Dataset, table: pa.Table, path: str, calendar: ExchangeCalendar) -> Iterator[SymbolCheck]:
    frame = pl.DataFrame(pl.from_arrow(table))
    prices = ("open", "high", "low", "close", "volume")
    columns = [pl.col("label").alias("timestamp"), *(pl.col(name).alias(name.upper()) for name in prices)]
    month = path.rpartition("/")[0].replace("year=", "").replace("/month=", "-")
    for (symbol,), bars in frame.sort("symbol", "label").group_by(["symbol"], maintain_order=True):
        view = bars.select(columns)
        if dataset.bar_size.is_intraday:
            _, violations = IntradayFrameSpec(bar_size=dataset.bar_size).validate(view, calendar)
        else:
            _, violations = DailyFrameSpec().validate(view, calendar)
        yield SymbolCheck(str(symbol), month, bars.height, tuple(violations))
