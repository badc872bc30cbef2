"""The first stage: minutes are checked, made into longer bars, which are checked in turn, and handed on as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from fairlead.contracts.enforcement import Enforcement, EnforcementSettings
from fairlead.contracts.files import atomic_directory
from fairlead.contracts.frames import IntradayFrameSpec
from fairlead.contracts.frames.violation import RULES
from fairlead.contracts.quality import DataQualitySLA, QualityRecord, check_frame, write_records
from fairlead.core.errors import ContractError, DataError
from fairlead.core.time import BarSize
from fairlead.data.resampling import resample_bars, resample_m1_to_m5
from fairlead.factory.findings import DataRefused, Finding, of_contract, of_levels, of_violations
from fairlead.factory.settings import FactorySettings
from fairlead.factory.sources import Minutes

MINUTES_FOLDER: Final = "m1"

# Longer bars cannot be made of minutes that break these, at whatever level (domain rule 2.4), nor can orders meet them.
_BARRING: Final = frozenset(code for code in RULES if code.startswith("D")) | {"I01", "I02"}
# Where a symbol trades little, minutes are missing, and their usual spacing then says nothing of the bar size.
_SPACING: Final = "I03"


@dataclass(slots=True)
class Bars:
    """What the first stage hands on, by symbol.

    Attributes
    ----------
    m1, signal : dict of str to polars.DataFrame
        One-minute bars, and bars of the signals' size.
    records : list of QualityRecord
        Of the latter.
    warnings : list of str
        Findings that the levels of enforcement let pass.
    """

    m1: dict[str, pl.DataFrame] = field(default_factory=dict)
    signal: dict[str, pl.DataFrame] = field(default_factory=dict)
    records: list[QualityRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def rows(self) -> tuple[int, int]:
        """How many one-minute bars and how many bars of the signals' size there are."""
        return sum(f.height for f in self.m1.values()), sum(f.height for f in self.signal.values())


def signal_folder(bar_size: BarSize) -> str:
    """Return the folder of the bars of the signals' size: ``m5``."""
    return bar_size.name.lower()


def make_bars(
    minutes: Minutes, settings: FactorySettings, workspace: Path, run_id: str, tell: Callable[[int, int], None]
) -> Bars:
    """Return the checked bars of every symbol; their quality is written below `workspace` whether they pass or not.

    Raises
    ------
    DataRefused
        If a check fails whose level is ``enforce``, or that the next stage cannot do without.
    """
    bars, findings = Bars(), list[Finding]()
    levels = settings.enforcement
    try:
        for symbol, frame in minutes.frames():
            findings += _take(bars, symbol, frame, minutes, settings, run_id)
            tell(len(bars.m1), settings.expected_symbols or len(bars.m1))
    except (ContractError, DataError) as exc:
        # What cannot be read at all: its text names the check and the first places.
        raise DataRefused([Finding("contracts", minutes.name, BarSize.M1.name, "unreadable", None, 1, str(exc))]) from exc
    write_records(workspace, bars.records)
    if not bars.m1:
        raise DataRefused([Finding("slas", minutes.name, BarSize.M1.name, "no bars", None, 0, "there is no symbol")])
    barring = [f for f in findings if f.timeframe == BarSize.M1.name and f.check[:3] in _BARRING]
    refused = [f for f in findings if f in barring or _level(levels, f) is Enforcement.ENFORCE]
    if refused:
        raise DataRefused(refused)
    bars.warnings = [str(f) for f in findings]
    return bars


def _take(
    bars: Bars, symbol: str, frame: pl.DataFrame, minutes: Minutes, settings: FactorySettings, run_id: str
) -> list[Finding]:
    """Take in one symbol and return what is wrong with it."""
    calendar, size, levels = minutes.calendar, settings.timeframe, settings.enforcement
    tz = settings.tz or calendar.timezone
    bars.m1[symbol] = frame
    _, violations = IntradayFrameSpec(BarSize.M1).validate(frame, calendar, tz)
    violations = [v for v in violations if v.code != _SPACING]
    barred = any(v.code in _BARRING for v in violations)
    if levels.contracts is Enforcement.OFF:
        violations = [v for v in violations if v.code in _BARRING]
    found = of_violations(symbol, BarSize.M1.name, violations)
    if barred:
        record = _quality(frame, symbol, BarSize.M1, minutes, settings, run_id)
        bars.records.append(record)
        return found
    if size is BarSize.M1:
        longer = frame
    elif size is BarSize.M5:
        longer = resample_m1_to_m5(frame, calendar, tz)
    else:
        longer = resample_bars(frame, calendar, tz, source=BarSize.M1, target=size)
    bars.signal[symbol] = longer
    record = _quality(longer, symbol, size, minutes, settings, run_id)
    bars.records.append(record)
    if levels.contracts is not Enforcement.OFF:
        found += of_contract(record)
    if levels.slas is not Enforcement.OFF:
        found += of_levels(record)
    return found


def _quality(
    frame: pl.DataFrame, symbol: str, size: BarSize, minutes: Minutes, settings: FactorySettings, run_id: str
) -> QualityRecord:
    sla = DataQualitySLA(size, min_completeness=settings.sla.min_completeness, lookback_bars=settings.sla.lookback_bars)
    return check_frame(
        frame,
        symbol,
        minutes.calendar,
        sla=sla,
        tz=settings.tz or minutes.calendar.timezone,
        start=settings.data.start,
        end=settings.data.end,
        source=f"{minutes.name}: {minutes.provenance}",
        run_id=run_id,
    )


def _level(levels: EnforcementSettings, finding: Finding) -> Enforcement:
    return levels.contracts if finding.area == "contracts" else levels.slas


def write_bars(folder: Path, frames: Mapping[str, pl.DataFrame]) -> None:
    """Write each symbol's bars as a Parquet file into the folder, which is replaced as a whole.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    with atomic_directory(folder, replace=True) as staging:
        for symbol, frame in sorted(frames.items()):
            frame.write_parquet(staging / f"{symbol}.parquet", compression="zstd", compression_level=1)


def read_bars(folder: Path, check: Callable[[pl.DataFrame], None] | None = None) -> dict[str, pl.DataFrame]:
    """Return the bars that `write_bars` wrote, by symbol.

    Parameters
    ----------
    folder : Path
    check : callable, optional
        Raises a ContractError for a frame that breaks its contract.

    Raises
    ------
    DataError
        If a file cannot be read.
    ContractError
        If a frame breaks its contract; the message names the file.
    """
    frames = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            frames[path.stem] = pl.read_parquet(path, glob=False)
            if check is not None:
                check(frames[path.stem])
        except (pl.exceptions.PolarsError, OSError) as exc:
            raise DataError(f"{path} cannot be read as Parquet: {exc}. Run the line again.") from exc
        except ContractError as exc:
            raise ContractError(f"{path}: {exc}") from exc
    return frames
