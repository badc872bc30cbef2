"""How much of its limits a session may use: they grow back after a re-arm, and a drawdown halves one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairlead.journal import Entry, entries
from fairlead.risk.guards import LimitScale
from fairlead.risk.monitors import DrawdownGrade, KillLatch, KillSwitchSettings, MonitorView, SwitchId, drawdown_grade


class SessionLimits:
    """Tells what the limits of the guards are multiplied with, and remembers how far drawdowns have gone.

    Parameters
    ----------
    latch : KillLatch
        Knows when trading was re-armed.
    switches : KillSwitchSettings, optional
        None: no drawdown is graded.
    """

    def __init__(self, latch: KillLatch, switches: KillSwitchSettings | None) -> None:
        self._latch = latch
        self._graded = switches if switches is not None and switches.graded_drawdown.enabled else None
        self._grades: dict[str, DrawdownGrade] = {}

    def judge(self, views: Sequence[MonitorView], now_ns: int) -> Iterator[Entry]:
        """Grade the drawdowns of the session and of the strategies that are watched, and yield what is new for the journal."""
        for view in views:
            if self._graded is None or not self._graded.drawdown.watches(view.strategy):
                continue
            grade = drawdown_grade(view, self._graded)
            if grade is not self._grades.get(view.strategy, DrawdownGrade.NORMAL):
                payload = {"gross_factor": grade.gross_factor}
                yield entries.switch(now_ns, SwitchId.KS_DD.value, grade.value.lower(), payload, strategy=view.strategy)
            self._grades[view.strategy] = grade

    def scale(self, strategy: str, now_ns: int) -> LimitScale:
        """Return what limits are multiplied with for orders of a strategy."""
        grades = (self._grades.get(name, DrawdownGrade.NORMAL) for name in ("", strategy))
        return LimitScale(self._latch.limit_factor(now_ns, strategy), min(grade.gross_factor for grade in grades))

    def describe(self, strategies: Sequence[str], now_ns: int) -> Mapping[str, Any]:
        """Return the share of the limit on gross exposure that each strategy has; empty if all have all of it."""
        shares = {name: scale.size * scale.gross for name in strategies for scale in (self.scale(name, now_ns),)}
        return {"limits": shares} if any(share < 1.0 for share in shares.values()) else {}
