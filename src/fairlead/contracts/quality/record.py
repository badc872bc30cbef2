"""The record of a quality check, as it stands on the disk (domain 2.6)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from pydantic import AwareDatetime

from fairlead.contracts.files import write_json
from fairlead.contracts.frames.violation import Violation
from fairlead.contracts.manifests import Count, Sha256
from fairlead.contracts.quality.result import SLAResult, all_passed
from fairlead.contracts.settings import Settings
from fairlead.core.time import BarSize, format_utc, to_ns

QUALITY_VERSION: Final = "1.0"
QUALITY_FOLDER: Final = "quality"
LATEST_FILE: Final = "latest_sla.json"


class DayRange(Settings):
    """Sessions, both ends included."""

    start: dt.date
    end: dt.date


class SessionGap(Settings):
    """The bars that one session lacks."""

    session: dt.date
    missing: tuple[str, ...]


class ContractOutcome(Settings):
    """What the contract of the frame says."""

    passed: bool
    violations: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, violations: Sequence[Violation]) -> Self:
        """Return the outcome that `violations` make."""
        return cls(passed=not violations, violations=tuple(violation.as_json() for violation in violations))


class QualityRecord(Settings):
    """What was found about one symbol at one bar size.

    Parameters
    ----------
    run_id : str, optional
        Of the run that had it checked; None if there was none.
    timeframe : str
        ``M5``, ``D1``, ...
    asof : datetime
        The reference time, else when the last bar became known.
    passed : bool
        Whether the contract and every fatal level hold.
    slas : tuple of dict
        The levels and hints, see `SLAResult`.
    gaps : tuple of SessionGap
        Bars of the calendar that are missing.
    data_hash : str
        SHA-256 of the bars.
    """

    schema_version: str = QUALITY_VERSION
    run_id: str | None = None
    symbol: str
    timeframe: str
    calendar: str
    range: DayRange
    asof: AwareDatetime
    passed: bool
    slas: tuple[dict[str, Any], ...]
    gaps: tuple[SessionGap, ...] = ()
    contract: ContractOutcome
    source: str
    rows: Count
    data_hash: Sha256

    @property
    def file_name(self) -> str:
        """``{symbol}_{timeframe}_{asof}.json``."""
        return f"{self.symbol}_{self.timeframe}_{self.asof:%Y%m%dT%H%M%SZ}.json"

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return {**self.model_dump(mode="json"), "asof": format_utc(to_ns(self.asof))}


def record_of(
    symbol: str,
    bar_size: BarSize,
    calendar: str,
    results: Mapping[str, SLAResult],
    violations: Sequence[Violation],
    **fields: Any,
) -> QualityRecord:
    """Return the record of a check; `fields` are those that `results` and `violations` do not say.

    It passes if there are no violations and every fatal level is met.
    """
    return QualityRecord(
        symbol=symbol,
        timeframe=bar_size.name,
        calendar=calendar,
        passed=all_passed(results) and not violations,
        slas=tuple(result.as_json() for result in results.values()),
        contract=ContractOutcome.of(violations),
        **fields,
    )


def write_records(workspace: Path, records: Sequence[QualityRecord]) -> Path:
    """Write each record under ``quality/`` of the workspace, each file whole or not at all, and return that folder.

    ``latest_sla.json`` is the record of the first symbol that did not pass, else that of the last one: whoever looks at it
    alone sees green only if all passed.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    folder = workspace / QUALITY_FOLDER
    for record in records:
        write_json(folder / record.file_name, record.as_json())
    if records:
        latest = next((record for record in records if not record.passed), records[-1])
        write_json(folder / LATEST_FILE, latest.as_json())
    return folder
