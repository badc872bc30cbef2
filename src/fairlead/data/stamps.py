"""Time stamps of any vendor as bar labels: text, dates, epoch numbers, with or without a time zone (domain rule 1.1).

A stamp that carries its offset or time zone is an instant. One that does not is refused unless the import declares the zone,
except a plain date of a daily bar: that is a session label and needs none.
"""

from __future__ import annotations

import functools
import zoneinfo
from dataclasses import dataclass
from typing import Final, NamedTuple

import polars as pl

from fairlead.core.arrays import BoolArray, IntArray
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, BarSize

_DATE: Final = r"^(\d{4}[-/.]\d{2}[-/.]\d{2}|\d{8})$"
_OFFSET: Final = r"(?i)\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})$"
_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y%m%d %H:%M:%S%.f", "%Y%m%d %H:%M", "%Y%m%d")
_FIRST_DATE_NUMBER, _LAST_DATE_NUMBER = 19_000_101, 21_001_231
# Epoch numbers say their unit by their size: seconds of the years 1973 to 5138, and so on by factors of a thousand.
_EPOCH_UNITS: Final = ((100_000_000_000, NS_PER_SECOND), (10**14, 1_000_000), (10**17, 1_000), (2**63 - 1, 1))


@dataclass(frozen=True, slots=True)
class Reading:
    """How stamps are to be read.

    Attributes
    ----------
    bar_size : BarSize
    timezone : str or None
        IANA zone of stamps that carry none.
    stamp_format : str or None
        A strptime pattern for text that is not ISO 8601.
    remedy : str
        What to do about stamps without a zone, in the words of whoever passed them.
    """

    bar_size: BarSize
    timezone: str | None = None
    stamp_format: str | None = None
    remedy: str = "Declare the zone they are in, e.g. timezone='America/New_York'."

    def __post_init__(self) -> None:
        if self.timezone is not None and self.timezone not in _zones():
            raise ConfigurationError.of("timezone", "be an IANA time zone such as 'America/New_York' or 'UTC'", self.timezone)


@functools.cache
def _zones() -> frozenset[str]:
    """Return the names of all zones; to find them takes longer than to read a page of bars."""
    return frozenset(zoneinfo.available_timezones())


@dataclass(frozen=True, slots=True)
class Labels:
    """Stamps as bar labels; arrays of shape (n,).

    Attributes
    ----------
    label_ns : int64
        UTC; 0 where there is a fault.
    unreadable : bool
        Missing, or not a stamp.
    ambiguous : bool
        A local time that the change of clocks skips or repeats.
    """

    label_ns: IntArray
    unreadable: BoolArray
    ambiguous: BoolArray


class _Walls(NamedTuple):
    """Stamps as their vendor wrote them: wall-clock nanoseconds, and the offset from UTC where it is known; null if unread."""

    wall: pl.Series
    offset: pl.Series
    dates_only: bool


def read_labels(stamps: pl.Series, reading: Reading, *, where: str) -> Labels:
    """Return the labels of a column of stamps: text, Date, Datetime, or epoch numbers in s, ms, us or ns.

    A daily label is the date at whose midnight the stamp lies, in the zone it is written in or else in the declared one.

    Raises
    ------
    ContractError
        If stamps carry no time zone and none is declared, if intraday stamps are dates, or if none can be read.
    """
    walls = _walls(stamps, reading.stamp_format)
    unreadable = walls.wall.is_null()
    if unreadable.all():
        rule = "be a date or a time such as 2024-01-31 or 2024-01-31T09:30:00Z"
        example = next((str(value) for value in stamps if value is not None), "")
        raise ContractError.of(f"{where}: stamp", rule, example, "Declare another form: stamp_format='%m/%d/%Y %H:%M'.")
    if walls.dates_only:
        if reading.bar_size.is_intraday:
            rule = f"carry a time of day in bars of {reading.bar_size}"
            raise ContractError.of(f"{where}: stamps", rule, str(stamps.drop_nulls()[0]), "Is the bar size 1d?")
        return _labels(walls.wall, unreadable)
    naive = walls.offset.is_null() & ~unreadable
    if naive.any() and reading.timezone is None:
        raise ContractError.of(f"{where}: stamps", "carry a time zone", str(stamps.filter(naive)[0]), reading.remedy)
    utc = _to_utc(walls, reading.timezone)
    return _labels(utc if reading.bar_size.is_intraday else _session_dates(walls.wall, utc, reading.timezone), unreadable)


def _labels(label: pl.Series, unreadable: pl.Series) -> Labels:
    return Labels(label.fill_null(0).to_numpy(), unreadable.to_numpy(), (label.is_null() & ~unreadable).to_numpy())


def _to_utc(walls: _Walls, timezone: str | None) -> pl.Series:
    utc = walls.wall - walls.offset
    if timezone is None:
        return utc
    local = walls.wall.cast(pl.Datetime("ns")).dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")
    return utc.zip_with(utc.is_not_null(), local.to_physical())


def _session_dates(wall: pl.Series, utc: pl.Series, timezone: str | None) -> pl.Series:
    label = wall.zip_with(wall % NS_PER_DAY == 0, utc)
    if timezone is None:
        return label
    zoned = utc.cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(timezone).dt.replace_time_zone(None).to_physical()
    return zoned.zip_with((label % NS_PER_DAY != 0) & (zoned % NS_PER_DAY == 0), label)


def _walls(stamps: pl.Series, stamp_format: str | None) -> _Walls:
    kind = stamps.dtype
    if kind == pl.Date:
        return _Walls(stamps.cast(pl.Datetime("ns")).to_physical(), _nothing(stamps), dates_only=True)
    if isinstance(kind, pl.Datetime):
        utc = stamps.cast(pl.Datetime("ns", kind.time_zone))
        if kind.time_zone is None:
            return _Walls(utc.to_physical(), _nothing(stamps), dates_only=False)
        wall = utc.dt.replace_time_zone(None).to_physical()
        return _Walls(wall, wall - utc.to_physical(), dates_only=False)
    if kind.is_numeric():
        return _walls_of_numbers(stamps.cast(pl.Int64, strict=False))
    if kind in (pl.String, pl.Categorical):
        return _walls_of_text(stamps.cast(pl.String).str.strip_chars(), stamp_format)
    return _Walls(_nothing(stamps), _nothing(stamps), dates_only=False)


def _walls_of_numbers(numbers: pl.Series) -> _Walls:
    largest = numbers.abs().max()
    if largest is None:
        return _Walls(_nothing(numbers), _nothing(numbers), dates_only=False)
    if numbers.drop_nulls().is_between(_FIRST_DATE_NUMBER, _LAST_DATE_NUMBER).all():
        return _walls_of_text(numbers.cast(pl.String), None)
    unit = next(unit for limit, unit in _EPOCH_UNITS if int(str(largest)) <= limit)
    wall = numbers * unit
    return _Walls(wall, wall * 0, dates_only=False)  # an epoch number counts from a UTC instant


def _walls_of_text(text: pl.Series, stamp_format: str | None) -> _Walls:
    if stamp_format is not None:
        return _walls_by_format(text, stamp_format)
    present = text.drop_nulls()
    if present.str.contains(r"^\d{9,19}$").all() and len(present):
        return _walls_of_numbers(text.cast(pl.Int64, strict=False))
    offset = text.str.extract(_OFFSET, 1)
    body = text.str.replace(_OFFSET, "").str.replace(r"^(\d{4})[/.](\d{2})[/.](\d{2})", "$1-$2-$3").str.replace("[Tt]", " ")
    wall = _nothing(text)
    for pattern in _FORMATS:
        if not (wall.is_null() & body.is_not_null()).any():
            break
        parsed = body.str.strptime(pl.Datetime("ns"), pattern, strict=False).to_physical()
        wall = wall.zip_with(wall.is_not_null(), parsed)
    return _Walls(wall, _offsets(offset), dates_only=bool(text.filter(wall.is_not_null()).str.contains(_DATE).all()))


def _walls_by_format(text: pl.Series, stamp_format: str) -> _Walls:
    try:
        if "%z" in stamp_format or "%:z" in stamp_format:
            wall = text.str.strptime(pl.Datetime("ns", "UTC"), stamp_format, strict=False).to_physical()
            return _Walls(wall, wall * 0, dates_only=False)
        wall = text.str.strptime(pl.Datetime("ns"), stamp_format, strict=False).to_physical()
    except pl.exceptions.PolarsError as exc:
        rule = "be a strptime pattern such as '%m/%d/%Y %H:%M'"
        raise ConfigurationError.of("stamp_format", rule, stamp_format, str(exc)) from exc
    has_time = any(mark in stamp_format for mark in ("%H", "%I", "%T", "%R", "%X", "%k", "%l", "%s", "%c"))
    return _Walls(wall, _nothing(text), dates_only=not has_time)


def _offsets(text: pl.Series) -> pl.Series:
    digits = text.str.extract(r"(\d{2}):?\d{2}", 1).cast(pl.Int64), text.str.extract(r"\d{2}:?(\d{2})", 1).cast(pl.Int64)
    size = (digits[0] * 60 + digits[1]).fill_null(0) * NS_PER_MINUTE
    signed = size.zip_with(~text.str.starts_with("-").fill_null(False), -size)
    return signed.zip_with(text.is_not_null(), _nothing(text))


def _nothing(like: pl.Series) -> pl.Series:
    return pl.repeat(None, len(like), dtype=pl.Int64, eager=True)
