"""From a configuration to an operator at its broker: keys, gate, journal, and whether a session of its title runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fairlead.config.live import BrokerSettings
from fairlead.config.livegate import LiveGate, Permission
from fairlead.config.loading import LoadedConfig
from fairlead.config.realtime import LATCH
from fairlead.config.secrets import unlocked
from fairlead.contracts.locking import held_alone
from fairlead.contracts.workspace import workspace_folder
from fairlead.control import SESSIONS, SessionPlace
from fairlead.control.emergency import Emergency, EmergencySettings
from fairlead.control.hours import MarketHours
from fairlead.control.operators import Links, OperatorBook, running_sessions
from fairlead.core.errors import FairleadError, KillSwitchTriggered
from fairlead.core.identity import slug
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND
from fairlead.data.calendars import ExchangeCalendar
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.words import BrokerAccount
from fairlead.risk.monitors import HaltAction, HaltSettings, KillLatch, KillSwitchSettings, Level, Reading, SwitchId

_FLATTEN: Final = HaltAction.HALT_AND_FLATTEN


@dataclass(frozen=True, slots=True)
class BrokerOperator:
    """An operator at the broker of a configuration.

    Attributes
    ----------
    loaded : LoadedConfig
        With its keys.
    settings : BrokerSettings
    gate : LiveGate
    permission : Permission
        To look, to take back and to close.
    workspace : Path
    now_ns : callable
    """

    loaded: LoadedConfig
    settings: BrokerSettings
    gate: LiveGate
    permission: Permission
    workspace: Path
    now_ns: Callable[[], int]

    @property
    def title(self) -> str:
        """The title whose sessions trade there."""
        return self.loaded.settings.title

    @property
    def links(self) -> Links:
        """Whether its sessions may connect."""
        return Links(self.workspace, self.title)

    def admit(self, shown: BrokerAccount) -> None:
        """Refuse another account than the one that is configured."""
        self.gate.check(shown, only_reduces=True)

    def open(self) -> Broker:
        """Return the broker, not connected yet.

        Raises
        ------
        ConfigurationProblems
            If it cannot be opened; the text names file and line.
        """
        try:
            return self.settings.kind.open(self.settings.keys, self.now_ns, is_emergency=True)
        except FairleadError as exc:
            raise self.loaded.problem(("execution",), exc) from exc

    def book(self, who: str, why: str) -> OperatorBook:
        """Return the journal of the title."""
        journal = self.loaded.settings.journal
        return OperatorBook(journal, self.workspace, self.title, who=who, why=why, now_ns=self.now_ns)

    def running(self) -> list[SessionPlace]:
        """Return the sessions of the title that run."""
        return running_sessions(self.workspace, self.title)

    def emergency(
        self,
        action: HaltAction,
        *,
        monotonic: Callable[[], float],
        uniform: Callable[[], float],
        limit_s: float,
        alert: Callable[[str], None],
    ) -> Emergency:
        """Return the emergency session."""
        armed = self.loaded.settings.armed
        halt = HaltSettings() if armed is None else armed.halt
        return Emergency(
            self.open(),
            f"halt-{self.now_ns() // (NS_PER_SECOND // 1000)}",
            EmergencySettings(action=action, halt=halt, link=self.settings.link, limit_s=limit_s),
            now_ns=self.now_ns,
            monotonic=monotonic,
            uniform=uniform,
            admit=self.admit,
            alert=alert,
            closed=self._closed(),
        )

    def _closed(self) -> Callable[[Collection[str]], Collection[str]]:
        """Return what says which symbols cannot be traded now: all of them, while the exchange of the data is closed."""
        data = self.loaded.settings.data
        hours = MarketHours(ExchangeCalendar.get(data.calendar), self.now_ns)

        def closed(symbols: Collection[str]) -> Collection[str]:
            try:
                return () if hours.is_open else symbols
            except FairleadError:  # days that no calendar knows: the broker decides
                return ()

        return closed

    def latch(self, who: str, why: str) -> bool:
        """Trip the manual kill switch of the title, so that its next session takes no risk; return whether it was not tripped.

        Raises
        ------
        KillSwitchTriggered
            If a session holds the latch: it is the one to be halted.
        StorageError
            If the disk refuses.
        """
        armed = self.loaded.settings.armed
        switches = KillSwitchSettings() if armed is None else armed.kill_switches
        path = self.workspace / SESSIONS / f"{slug(self.title)}.{LATCH}"
        with held_alone(path.with_name(f"{path.name}.lock")) as is_free:
            if not is_free:
                raise KillSwitchTriggered(
                    f"a session of {self.title!r} holds its latch. Halt it: fairlead session halt --flatten"
                )
            now_ns = self.now_ns()
            day = now_ns // NS_PER_DAY
            held = KillLatch(path, switches, now_ns=now_ns, session=day)
            reading = Reading(
                switch=SwitchId.KS_MANUAL, level=Level.CRITICAL, measured=None, warning=None, critical=None, action=_FLATTEN
            )
            tripped = held.trip(reading, now_ns=now_ns, session=day, reason=f"{who}: {why}")
            if held.unsaved is not None:
                raise held.unsaved
            return tripped is not None


def operator_of(
    loaded: LoadedConfig, environ: Mapping[str, str], now_ns: Callable[[], int], workspace: Path | str | None = None
) -> BrokerOperator:
    """Return an operator at the broker of a configuration.

    Raises
    ------
    ConfigurationError
        If its execution is no broker, a key cannot be had, or configuration, address and account do not agree.
    """
    gate = LiveGate.of(loaded, environ)
    permission = gate.check(only_reduces=True)
    opened = unlocked(loaded)
    settings = opened.settings.execution
    assert isinstance(settings, BrokerSettings)
    folder = workspace_folder(environ, workspace if workspace is not None else loaded.settings.workspace)
    return BrokerOperator(opened, settings, gate, permission, folder, now_ns)
