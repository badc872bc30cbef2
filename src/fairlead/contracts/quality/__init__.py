"""Whether data is good enough to act on: service levels, hints, and the record of a check (domain 2.5 to 2.7)."""

from fairlead.contracts.quality.collecting import check_frame
from fairlead.contracts.quality.feeds import ClockDrift, clock_drift, is_stale
from fairlead.contracts.quality.record import QualityRecord, write_records
from fairlead.contracts.quality.result import Severity, SLAResult, all_passed
from fairlead.contracts.quality.sla import DataQualitySLA

__all__ = [
    "ClockDrift",
    "DataQualitySLA",
    "QualityRecord",
    "SLAResult",
    "Severity",
    "all_passed",
    "check_frame",
    "clock_drift",
    "is_stale",
    "write_records",
]
