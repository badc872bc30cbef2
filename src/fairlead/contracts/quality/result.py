"""What a service level says of some data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fairlead.core.time import format_utc, to_ns


class Severity(StrEnum):
    """What a level that is not met leads to: a ``FATAL`` one blocks, a ``WARNING`` is a hint."""

    FATAL = "FATAL"
    WARNING = "WARNING"


@dataclass(frozen=True, slots=True)
class SLAResult:
    """One service level, measured.

    Attributes
    ----------
    sla_name : str
    passed : bool
    severity : Severity
    measured_value : float or None
        None if it cannot be measured, which is never a pass.
    threshold : float
        The least or the most that passes, in the unit of the measured value.
    message : str
    timestamp : datetime or None
        As of when, UTC: the reference time, else when the last bar became known.
    """

    sla_name: str
    passed: bool
    severity: Severity
    measured_value: float | None
    threshold: float
    message: str
    timestamp: dt.datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "sla_name": self.sla_name,
            "passed": self.passed,
            "severity": self.severity.value,
            "measured_value": self.measured_value,
            "threshold": self.threshold,
            "message": self.message,
            "timestamp": None if self.timestamp is None else format_utc(to_ns(self.timestamp)),
        }


def all_passed(results: Mapping[str, SLAResult]) -> bool:
    """Return whether every fatal level is met; hints do not count, and what was not checked at all has not passed."""
    return bool(results) and all(r.passed for r in results.values() if r.severity is Severity.FATAL)
