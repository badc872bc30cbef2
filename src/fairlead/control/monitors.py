"""The books of a session under watch: what they are worth at each instant, and what the kill switches say of that."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.control.gauges import SessionGauges
from fairlead.control.limits import SessionLimits
from fairlead.control.scribe import Scribe
from fairlead.control.standing import measures_of
from fairlead.engine.runner import StrategyRunner
from fairlead.journal import entries
from fairlead.risk.monitors import EquityWatch, KillSwitchSettings, Level, Reading, SwitchId, critical, evaluate


class BookMonitors:
    """Watches the session's equity, and that of strategies that a switch watches alone.

    Parameters
    ----------
    switches : KillSwitchSettings, optional
        None: nothing is judged.
    limits : SessionLimits
        Told of drawdowns.
    scribe : Scribe
    gauges : SessionGauges, optional
    """

    def __init__(
        self, switches: KillSwitchSettings | None, limits: SessionLimits, scribe: Scribe, gauges: SessionGauges | None
    ) -> None:
        self._switches, self._limits = switches, limits
        self._scribe, self._gauges = scribe, gauges
        self._runners: Sequence[StrategyRunner] = ()
        self._watches: dict[str, EquityWatch] = {}
        self._levels: dict[tuple[SwitchId, str], Level] = {}
        self._failures: list[int] = []

    def begin(self, runners: Sequence[StrategyRunner]) -> None:
        """Take in the strategies, before they start."""
        self._runners = runners
        self._watches[""] = EquityWatch(sum(runner.ledger.initial_cash for runner in runners))
        for runner in runners:
            if self._switches is not None and runner.name in self._switches.watched_strategies:
                self._watches[runner.name] = EquityWatch(runner.ledger.initial_cash, runner.name)
        for failed_ns in self._failures:
            self._watches[""].connection_failed(failed_ns)

    def mark(self, session: int) -> None:
        """Take in what the books are worth now."""
        for name, watch in self._watches.items():
            books = [runner.ledger for runner in self._runners if name in {"", runner.name}]
            watch.mark(session, sum(book.equity for book in books))
        if self._gauges is not None:
            self._gauges.marked(self._runners, self._watches[""].session_start)

    def judge(self, now_ns: int, mismatches: int, *, is_strict: bool) -> tuple[Reading, ...]:
        """Return the readings that call for a halt; a level that is new is journalled and logged.

        Parameters
        ----------
        now_ns : int
        mismatches : int
            Symbols in which the broker holds another position.
        is_strict : bool
            Whether one of these halts.
        """
        if self._switches is None:
            return ()
        views = [watch.view(now_ns, mismatches=mismatches, is_strict=is_strict) for watch in self._watches.values()]
        for entry in self._limits.judge(views, now_ns):
            self._scribe.write(entry)
        readings = [reading for view in views for reading in evaluate(view, self._switches)]
        for reading in readings:
            self._note_level(reading, now_ns)
            if self._gauges is not None:
                self._gauges.judged(reading)
        return tuple(critical(readings))

    def unknown(self, strategy: str) -> list[str]:
        """Return the switches that cannot be measured for orders of a strategy."""
        return [
            name.value for (name, whose), level in self._levels.items() if level is Level.UNKNOWN and whose in {"", strategy}
        ]

    def connection_failed(self, failed_ns: int) -> None:
        """Count that the connection broke off."""
        if "" in self._watches:
            self._watches[""].connection_failed(failed_ns)
        else:
            self._failures.append(failed_ns)

    def rearm(self, strategy: str) -> None:
        """Begin a new epoch for a book."""
        if strategy in self._watches:
            self._watches[strategy].rearm()

    def cash_flow(self, strategy: str, amount: float) -> None:
        """Count money that was paid in, or (below 0) out: no profit and no loss."""
        for name in {"", strategy} & self._watches.keys():
            self._watches[name].cash_flow(amount)
        if self._gauges is not None:
            self._gauges.cash_flow(amount)

    def _note_level(self, reading: Reading, now_ns: int) -> None:
        key = (reading.switch, reading.strategy)
        before, self._levels[key] = self._levels.get(key, Level.OK), reading.level
        if reading.level in {before, Level.OK}:
            return
        self._scribe.write(entries.switch(now_ns, reading.switch.value, reading.level.value.lower(), measures_of(reading)))
        self._scribe.log.warning("kill_switch_level", message=reading.text, strategy=reading.strategy)
