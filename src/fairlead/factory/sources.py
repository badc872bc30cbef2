"""Where the line's minutes come from: a synthetic market, a dataset of the workspace, or files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from fairlead.contracts.frames.reading import CANONICAL
from fairlead.contracts.frames.violation import contract_error
from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError, DataNotFound
from fairlead.core.instruments import check_symbol
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.batch import Batch, read_part
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import StoredSource
from fairlead.data.opening import store_of
from fairlead.data.readers import read_tables
from fairlead.data.selection import DateRange, choose_symbols
from fairlead.data.stamps import Reading
from fairlead.data.synthetic import SyntheticSettings, describe, generate_bars

STAMP: Final = "timestamp"
"""The column in which every frame of the line keeps its stamps: opening instants in UTC."""

_CELLS: Final = tuple(name.lower() for name in CANONICAL)
_UTC: Final = pl.Datetime("ns", "UTC")


def _known_calendar(name: str) -> str:
    return ExchangeCalendar.get(name).name


def _known_zone(name: str) -> str:
    Reading(BarSize.M1, name)  # it refuses what is no zone
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
Calendar = Annotated[str, AfterValidator(_known_calendar)]
Symbol = Annotated[str, AfterValidator(check_symbol)]


class SyntheticData(SyntheticSettings):
    """Minutes of a seeded synthetic market; its fields are those of `SyntheticSettings`."""

    type: Literal["synthetic"] = "synthetic"
    calendar: Calendar = "XNYS"

    @field_validator("bar_size")
    @classmethod
    def _is_a_minute(cls, value: BarSize) -> BarSize:
        if value is not BarSize.M1:
            raise ConfigurationError.of("bar_size", "be 1min: the line begins with minutes", value.value)
        return value


class _Range(Settings):
    symbols: tuple[Symbol, ...] = ()
    start: dt.date = Field(description="Give the first session, such as 2024-01-02.")
    end: dt.date = Field(description="Give the last session, such as 2024-06-28.")

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        DateRange(self.start, self.end)
        return self


class DatasetData(_Range):
    """Minutes of a dataset in the workspace's store.

    Parameters
    ----------
    dataset : str
    symbols : tuple of str
        Empty for all.
    start, end : date
        First and last session, both included: what the service levels expect.
    """

    type: Literal["dataset"] = "dataset"
    dataset: str = Field(min_length=1, description="List what there is with: fairlead data ls.")


class FilesData(_Range):
    """Minutes in CSV or Parquet files.

    Parameters
    ----------
    path : str
        A file, or a folder of them; relative to the current folder.
    symbols, start, end
        As for a dataset.
    calendar : str
        Exchange calendar.
    timezone : str, optional
        IANA zone of stamps that carry none.
    """

    type: Literal["files"] = "files"
    path: str = Field(min_length=1)
    calendar: Calendar = "XNYS"
    timezone: Zone | None = None


def _kind(value: Any) -> str:
    return str(value.get("type", "") if isinstance(value, dict) else getattr(value, "type", ""))


FactoryData: TypeAlias = Annotated[
    Annotated[SyntheticData, Tag("synthetic")] | Annotated[DatasetData, Tag("dataset")] | Annotated[FilesData, Tag("files")],
    Discriminator(_kind),
]


class Minutes(Protocol):
    """One-minute bars that have been found and not yet been read."""

    @property
    def name(self) -> str:
        """What a manifest calls them."""

    @property
    def calendar(self) -> ExchangeCalendar:
        """The exchange's sessions."""

    @property
    def synthetic(self) -> bool:
        """Whether the prices were generated; every artefact says so."""

    @property
    def provenance(self) -> str:
        """Where they came from, in words."""

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield each symbol, sorted, with its bars as they came: columns `STAMP` and the canonical ones.

        Raises
        ------
        ContractError
            If stamps or symbols cannot be read at all.
        DataError
            If a file is damaged.
        """


def open_minutes(settings: FactoryData, workspace: Path) -> Minutes:
    """Return the minutes that `settings` name.

    Raises
    ------
    DataNotFound, UnknownName
        If there is no such dataset, symbol, file or session.
    ConfigurationError
        If the dataset is not one of minutes.
    """
    if isinstance(settings, SyntheticData):
        calendar = ExchangeCalendar.get(settings.calendar)
        if len(calendar.sessions(date_to_day(settings.start), date_to_day(settings.end))) == 0:
            raise DataNotFound(f"{calendar.name} has no session from {settings.start} to {settings.end}. Widen the range.")
        return _Synthetic(settings, calendar)
    if isinstance(settings, DatasetData):
        source = store_of(workspace).open(settings.dataset, BarSize.M1.value)
        return _Stored(source.select(settings.symbols, settings.start, settings.end), source.manifest.source)
    if not Path(settings.path).exists():
        raise DataNotFound(f"there is no file or folder named {settings.path}. Check data.path.")
    return _Files(settings, ExchangeCalendar.get(settings.calendar))


@dataclass(frozen=True)
class _Synthetic:
    settings: SyntheticData
    calendar: ExchangeCalendar
    name: str = "synthetic"
    synthetic: bool = True

    @property
    def provenance(self) -> str:
        return describe(self.settings)

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        return _by_symbol(generate_bars(self.settings, self.calendar))


@dataclass(frozen=True)
class _Stored:
    source: StoredSource
    provenance: str

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def calendar(self) -> ExchangeCalendar:
        return ExchangeCalendar.get(self.source.calendar)

    @property
    def synthetic(self) -> bool:
        return self.source.is_synthetic

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        return _by_symbol(pa.Table.from_batches(list(self.source.batches())))


@dataclass(frozen=True)
class _Files:
    settings: FilesData
    calendar: ExchangeCalendar
    synthetic: bool = False

    @property
    def name(self) -> str:
        return Path(self.settings.path).name

    @property
    def provenance(self) -> str:
        return f"files in {self.name}"

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        # Not the door of the store, which refuses every bad row: what is refused here is for the line to say.
        reading = Reading(BarSize.M1, self.settings.timezone)
        batch = Batch.of([read_part(raw, reading) for raw in read_tables(self.settings.path)])
        if batch.bad().any():
            raise contract_error(batch.describe(), [*batch.findings()])
        wanted = choose_symbols(self.settings.symbols, batch.symbols, self.name)
        for symbol, rows in batch.by_symbol():
            if symbol in wanted:
                label_ns, values = batch.label_ns[rows], batch.values[rows]
                columns = {name: values[:, i] for i, name in enumerate(CANONICAL)}
                frame = pl.DataFrame({STAMP: pl.Series(label_ns, dtype=pl.Int64).cast(_UTC), **columns})
                yield symbol, frame.filter(self._in_range(label_ns))

    def _in_range(self, label_ns: np.ndarray[Any, np.dtype[np.int64]]) -> pl.Series:
        first, last = date_to_day(self.settings.start), date_to_day(self.settings.end)
        located = self.calendar.locate(label_ns, BarSize.M1)
        # What lies in no session is kept: it is for the contract to name.
        day = np.where(located.inside, located.session, label_ns // BarSize.D1.ns)
        return pl.Series((day >= first) & (day <= last))


def _by_symbol(table: pa.Table) -> Iterator[tuple[str, pl.DataFrame]]:
    frame = pl.DataFrame(pl.from_arrow(table))
    columns = [pl.col("label").alias(STAMP), *(pl.col(low).alias(up) for low, up in zip(_CELLS, CANONICAL, strict=True))]
    parts = frame.partition_by("symbol", as_dict=True)
    for (symbol,) in sorted(parts):
        yield str(symbol), parts[(symbol,)].select(columns)
