"""What is wrong with data, and the refusal that says so: check, first offending time, count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from fairlead.contracts.frames import Violation
from fairlead.contracts.quality import QualityRecord, Severity
from fairlead.core.errors import GateError
from fairlead.core.time import format_utc, to_ns

_SHOWN: Final = 10
_REMEDY: Final = (
    "Mend or exclude the data, or lower enforcement.{area} to warn if you know why it may pass. Nothing downstream was run."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that the data of one symbol failed.

    Attributes
    ----------
    area : str
        ``contracts`` or ``slas``: the level of enforcement that decides.
    check : str
        A rule's code and name, or a level's name.
    first : str or None
        UTC stamp of the first offence; None if it has none.
    count : int
        Rows, or missing bars.
    """

    area: str
    symbol: str
    timeframe: str
    check: str
    first: str | None
    count: int
    message: str

    def __str__(self) -> str:
        where = f"first at {self.first or 'no time'}, count {self.count:,}"
        return f"{self.symbol} {self.timeframe} {self.check}: {where}; {self.message}"


class DataRefused(GateError):
    """The data of a run did not pass; nothing downstream was run.

    Attributes
    ----------
    findings : tuple of Finding
        By symbol.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        shown = [f"  - {finding}" for finding in self.findings[:_SHOWN]]
        more = len(self.findings) - _SHOWN
        checks = f"{len(self.findings)} check{'s' if len(self.findings) != 1 else ''}"
        tail = [f"  - and {more} more, listed in the run's manifest"] if more > 0 else []
        remedy = _REMEDY.format(area=self.findings[0].area)
        super().__init__("\n".join([f"the data is refused, it fails {checks}:", *shown, *tail, remedy]))

    def as_json(self) -> list[dict[str, Any]]:
        """Return every finding as plain data."""
        return [asdict(finding) for finding in self.findings]


def of_violations(symbol: str, timeframe: str, violations: Sequence[Violation]) -> list[Finding]:
    """Return the findings of a contract."""
    return [
        Finding(
            "contracts",
            symbol,
            timeframe,
            f"{v.code} {v.name}",
            None if v.first_ts is None else format_utc(to_ns(v.first_ts)),
            v.count,
            v.message,
        )
        for v in violations
    ]


def of_contract(record: QualityRecord) -> list[Finding]:
    """Return the rules that the bars of a record break."""
    return [
        Finding(
            "contracts", record.symbol, record.timeframe, f"{v['code']} {v['name']}", v["first_ts"], v["count"], v["message"]
        )
        for v in record.contract.violations
    ]


def of_levels(record: QualityRecord) -> list[Finding]:
    """Return the fatal service levels that a record did not meet."""
    return [
        Finding("slas", record.symbol, record.timeframe, level["sla_name"], *_extent(record, level), str(level["message"]))
        for level in record.slas
        if level["severity"] == Severity.FATAL.value and not level["passed"]
    ]


def _extent(record: QualityRecord, level: dict[str, Any]) -> tuple[str | None, int]:
    """Return the first offending time of a level, and how often it is offended."""
    name, measured = level["sla_name"], level["measured_value"]
    missing = [stamp for gap in record.gaps for stamp in gap.missing]
    if name.endswith("_completeness"):
        return (missing[0] if missing else None), len(missing)
    if name == "lookback_gap" and measured:
        # Bars after the last stamp are gaps too, and no part of this level; its message knows where it begins.
        return str(level["message"]).partition("first at ")[2] or None, int(measured)
    codes = {"no_nan_ohlc": "D06", "no_dupe_index": "D05"}
    first = next((v["first_ts"] for v in record.contract.violations if v["code"] == codes.get(name)), None)
    return first, int(measured or 0)
