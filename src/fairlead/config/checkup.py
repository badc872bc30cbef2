"""The machine's check-up: everything that a first run needs, tried for real."""

from __future__ import annotations

import datetime as dt
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np

from fairlead.core.errors import FairleadError
from fairlead.core.time import date_to_day

_LIBRARIES: Final = (
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "pydantic",
    "exchange-calendars",
    "matplotlib",
    "plotly",
    "bokeh-sampledata",
)
_NEEDED_FREE: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and its outcome; `remedy` is empty if all is well."""

    check: str
    ok: bool
    found: str
    remedy: str = ""


def examine(workspace: Path) -> list[Finding]:
    """Return every finding about this machine and `workspace`."""
    return [
        _python(),
        *(_library(name) for name in _LIBRARIES),
        _tried("calendar XNYS", _calendar, "Reinstall exchange-calendars."),
        _tried("bundled prices", _prices, "Reinstall bokeh-sampledata."),
        _tried("workspace", lambda: _writable(workspace), f"Make {workspace} writable, or set FAIRLEAD_HOME."),
        _space(workspace),
    ]


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, platform.python_version(), "" if ok else "Install Python 3.11 or newer.")


def _library(name: str) -> Finding:
    try:
        return Finding(name, ok=True, found=version(name))
    except PackageNotFoundError:
        return Finding(name, ok=False, found="missing", remedy=f"pip install {name}")


def _tried(check: str, attempt: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(check, ok=True, found=attempt())
    except (FairleadError, ImportError, OSError) as exc:
        return Finding(check, ok=False, found=str(exc), remedy=remedy)


def _calendar() -> str:
    from fairlead.data.calendars import ExchangeCalendar  # noqa: PLC0415  a broken library must become a finding

    day = dt.date(2024, 11, 29)
    minutes = int(ExchangeCalendar.get("XNYS").session_minutes(np.array([date_to_day(day)], np.int32))[0])
    return f"early close of {day}: {minutes} minutes"


def _prices() -> str:
    from fairlead.data.bundled import bundled_bars  # noqa: PLC0415  as in `_calendar`

    table, actions = bundled_bars()
    return f"{table.num_rows:,} daily bars, {len(actions)} splits and dividends"


def _writable(workspace: Path) -> str:
    existing = _existing(workspace)
    with tempfile.NamedTemporaryFile(dir=existing):
        return f"{workspace.absolute()}{'' if workspace.is_dir() else ' (will be made)'}"


def _space(workspace: Path) -> Finding:
    free = shutil.disk_usage(next(path for path in (workspace, *workspace.absolute().parents) if path.exists())).free
    ok = free >= _NEEDED_FREE
    return Finding("free disk", ok, f"{free / 1e9:.1f} GB", "" if ok else "Free at least 1 GB.")


def _existing(workspace: Path) -> Path:
    found = next(path for path in (workspace, *workspace.absolute().parents) if path.exists())
    if not found.is_dir():
        raise NotADirectoryError(f"{found} is a file, not a folder")
    return found
