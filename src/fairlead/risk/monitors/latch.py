"""The latch of the kill switches: once tripped it stays so, across restarts and days, until an operator re-arms it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fairlead.core.errors import ContractError, KillSwitchTriggered, StorageError
from fairlead.core.time import NS_PER_MINUTE, day_to_date, format_utc
from fairlead.risk.monitors.latchfile import LatchState, Rearm, Trip, put_aside, read_state, write_state
from fairlead.risk.monitors.settings import HaltAction, KillSwitchSettings, SwitchId
from fairlead.risk.monitors.switches import Reading

LATCH_FILE: Final = "LATCH_FILE"
"""The switch of a trip whose cause is that the latch itself could not be read."""


class KillLatch:
    """Holds what is tripped, on the disk before anyone acts on it.

    Opening it reads the file. One that is damaged, or lacking where there must be one, means halted: what is not known halts.

    Parameters
    ----------
    path : path
        The file; made, with its folders, when it is opened first.
    settings : KillSwitchSettings
        For the lock and the cool-off.
    now_ns : int
    session : int
        Date of the session of trading, in days since the epoch.
    is_expected : bool
        Whether the file must be there, because this session has run before.

    Raises
    ------
    StorageError
        If there is no file yet and the disk refuses one: a session that could not be halted must not begin.
    """

    def __init__(
        self, path: str | Path, settings: KillSwitchSettings, *, now_ns: int, session: int, is_expected: bool = False
    ) -> None:
        self.path = Path(path)
        self.unsaved: StorageError | None = None
        """Why the state is not on the disk, if it is not: halting goes on, and `save` tries again."""
        self._settings = settings
        self._state = LatchState()
        self._left: LatchState | None = None
        self._seen: set[Trip] = set()
        if self.path.exists() or self.path.is_symlink():
            try:
                self._state = read_state(self.path)
            except (ContractError, StorageError) as exc:
                put_aside(self.path)
                self._halt_unread(str(exc), now_ns, session)
        elif is_expected:
            self._halt_unread(f"{self.path} is gone and does not say whether trading is halted", now_ns, session)
        else:
            write_state(self.path, self._state)

    @property
    def trips(self) -> tuple[Trip, ...]:
        """What is tripped, the oldest first."""
        return self._state.trips

    def is_latched(self, strategy: str = "") -> bool:
        """Whether trading is halted: of the session, or of one strategy, which the session's halt stops too."""
        return any(trip.strategy in {"", strategy} for trip in self._state.trips)

    def action(self, strategy: str = "") -> HaltAction | None:
        """Return what the halt of the session, or of a strategy alone, calls for; closing positions outweighs keeping them."""
        actions = {trip.action for trip in self._state.trips if trip.strategy == strategy}
        return max(actions, key=lambda action: action is HaltAction.HALT_AND_FLATTEN, default=None)

    def last_rearm(self, strategy: str = "") -> Rearm | None:
        """Return the last re-arm: after a restart, a checkpoint older than it has the old epoch, and must begin the new one."""
        return self._state.rearms.get(strategy)

    def trip(self, reading: Reading, *, now_ns: int, session: int, reason: str = "") -> Trip | None:
        """Latch what a reading calls for; when this returns it is on the disk, and only then may anyone act.

        If the disk refuses, the latch holds in memory, `unsaved` says why, and the halt must go on all the same.

        Parameters
        ----------
        reading : Reading
            A critical one.
        now_ns : int
        session : int
            Date of the session of trading, in days since the epoch.
        reason : str
            For one by command: who, and why.

        Returns
        -------
        Trip or None
            None if that switch is tripped already and calls for no more than it did.
        """
        tripped = Trip(
            switch=reading.switch.value,
            action=reading.action,
            reason=reason or reading.text,
            ts_ns=now_ns,
            session=session,
            strategy=reading.strategy,
        )
        same = [t for t in self._state.trips if (t.switch, t.strategy) == (tripped.switch, tripped.strategy)]
        if any(t.action in {tripped.action, HaltAction.HALT_AND_FLATTEN} for t in same):
            return None
        self._add(tripped)
        return tripped

    def refusal(self, *, only_reduces: bool, now_ns: int, strategy: str = "", is_scaled: bool = False) -> str | None:
        """Return why an order may not leave, or None: what only reduces a position always may.

        Parameters
        ----------
        is_scaled : bool
            Whether limits are held to that are multiplied with `limit_factor`. Where none are, there is no new risk before it
            is 1 again; where they are, none as long as it is 0.
        """
        if only_reduces:
            return None
        trip = next((t for t in self._state.trips if t.strategy in {"", strategy}), None)
        if trip is not None:
            return f"halted since {format_utc(trip.ts_ns)} by {trip.reason}"
        factor = self.limit_factor(now_ns, strategy)
        return "cooling off after a re-arm" if factor == 0.0 or (factor < 1.0 and not is_scaled) else None

    def limit_factor(self, now_ns: int, strategy: str = "") -> float:
        """Return what limits are multiplied with: 0 while halted and cooling off, then growing evenly to 1."""
        if self.is_latched(strategy):
            return 0.0
        rearms = [rearm for name, rearm in self._state.rearms.items() if name in {"", strategy}]
        return min((self._ramp(now_ns - rearm.ts_ns) for rearm in rearms), default=1.0)

    def locked_until(self, strategy: str = "") -> str:
        """Return until when a halt cannot be lifted, as a text; empty if nothing is tripped."""
        trips = [t for t in self._state.trips if t.strategy == strategy]
        texts = [format_utc(max(self._unlocks(t) for t in timed))] if (timed := [t for t in trips if not _is_daily(t)]) else []
        if daily := [t.session for t in trips if _is_daily(t)]:
            texts.append(f"the session after {day_to_date(max(daily))}")
        return " and ".join(texts)

    def rearm(self, *, who: str, reason: str, now_ns: int, session: int, is_reconciled: bool, strategy: str = "") -> Rearm:
        """Lift the halt of the session, or of one strategy; it is on the disk before it takes effect.

        The caller begins a new epoch with it (`EquityWatch.rearm`).

        Parameters
        ----------
        who, reason : str
            The operator, and why trading may go on.
        now_ns : int
        session : int
            Date of the session that trading is in, or will be in next, in days since the epoch.
        is_reconciled : bool
            Whether positions, orders and cash have just been found equal to the broker's.

        Raises
        ------
        KillSwitchTriggered
            If one of these is lacking, the lock has not run out, or nothing is tripped; the halt stays.
        StorageError
            If the disk refuses; the halt stays.
        """
        whose = f"strategy {strategy!r}" if strategy else "the session"
        trips = [trip for trip in self._state.trips if trip.strategy == strategy]
        if not trips:
            raise KillSwitchTriggered(f"{whose} is not halted; there is nothing to re-arm.")
        if not who.strip() or not reason.strip():
            raise KillSwitchTriggered(f"{whose} stays halted: a re-arm needs an operator and a reason.")
        if any(session <= t.session if _is_daily(t) else now_ns < self._unlocks(t) for t in trips):
            raise KillSwitchTriggered(f"{whose} stays halted: it is locked until {self.locked_until(strategy)}.")
        if not is_reconciled:
            raise KillSwitchTriggered(f"{whose} stays halted: reconcile with the broker first, without a mismatch.")
        rearm = Rearm(who=who.strip(), reason=reason.strip(), ts_ns=now_ns, strategy=strategy)
        kept = tuple(trip for trip in self._state.trips if trip.strategy != strategy)
        lifted = LatchState(kept, {**self._state.rearms, strategy: rearm})
        if self._left is None:
            write_state(self.path, lifted)
        self._state, self.unsaved = lifted, None
        return rearm

    @property
    def state(self) -> LatchState:
        """Everything that it holds."""
        return self._state

    def go_back(self, state: LatchState) -> None:
        """Hold what it held when a session began that goes through everything once more; the file stays till `catch_up`."""
        self._left, self._state = self._state, state
        self._seen = set(state.trips)

    @property
    def foreign(self) -> tuple[Trip, ...]:
        """What the file holds and nobody has come by on the way: another session's halt, or one that is on no record."""
        return () if self._left is None else tuple(trip for trip in self._left.trips if trip not in self._seen)

    def take_over(self, trips: Iterable[Trip]) -> None:
        """Hold halts that have another cause than what this session goes through: what is not known halts."""
        for trip in trips:
            self._add(trip)

    def catch_up(self) -> None:
        """Write down what is held, from now on again."""
        if self._left is not None:
            self._left = None
            self._save()

    def save(self) -> bool:
        """Write what the disk refused before; return whether everything is on the disk."""
        if self.unsaved is not None:
            self._save()
        return self.unsaved is None

    def _add(self, trip: Trip) -> None:
        self._state = LatchState((*self._state.trips, trip), self._state.rearms)
        self._seen.add(trip)
        self._save()

    def _save(self) -> None:
        if self._left is not None:
            return
        try:
            write_state(self.path, self._state)
        except StorageError as exc:
            self.unsaved = exc
        else:
            self.unsaved = None

    def _halt_unread(self, reason: str, now_ns: int, session: int) -> None:
        action = HaltAction.HALT_AND_INVESTIGATE
        self._add(Trip(switch=LATCH_FILE, action=action, reason=reason, ts_ns=now_ns, session=session))

    def _unlocks(self, trip: Trip) -> int:
        return trip.ts_ns + round(self._settings.lock_hours * 60 * NS_PER_MINUTE)

    def _ramp(self, since_ns: int) -> float:
        cool_off = self._settings.cool_off_minutes * NS_PER_MINUTE
        if cool_off == 0.0:
            return 1.0
        return min(1.0, max(0.0, (since_ns - cool_off) / cool_off))


def _is_daily(trip: Trip) -> bool:
    return trip.switch == SwitchId.KS_DAILY.value
