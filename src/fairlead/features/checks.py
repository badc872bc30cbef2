"""One finding of a check, and how findings are printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    passed : bool
    detail : str
        What was seen: of a failure where and what, of a pass on how much it stands.
    warning : bool
        True for a finding to look at that breaks no rule.
    """

    name: str
    passed: bool
    detail: str
    warning: bool = False

    @property
    def status(self) -> str:
        """What to show."""
        if self.passed:
            return "passed"
        return "warning" if self.warning else "failed"


def check_lines(checks: Iterable[Check]) -> list[str]:
    """Return one aligned line per check."""
    rows = list(checks)
    width = max((len(check.name) for check in rows), default=0)
    return [f"{check.status:7}  {check.name:{width}}  {check.detail}".rstrip() for check in rows]
