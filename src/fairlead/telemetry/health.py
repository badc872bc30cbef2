"""Whether the process is alive, and whether it may be given work (domain rule 16.3).

Both are answered in another thread than the loop's. What cannot be told is taken to be bad.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.redaction import Secrets

HEARTBEAT_LIMIT_S: Final = 5.0
READY_CHECKS: Final = ("bus", "broker", "data_fresh", "state_loaded", "kill_latch")
_NOT_REPORTED: Final = "not reported yet"
_NO_SECRETS: Final = Secrets()

Check = Callable[[], str | None]


class Heartbeat:
    """A loop's sign of life.

    Parameters
    ----------
    limit_s : float
        Age of the last beat at which the loop counts as stalled.
    monotonic : callable
        Seconds that only grow; injected so that tests do not wait.
    """

    def __init__(self, limit_s: float = HEARTBEAT_LIMIT_S, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not limit_s > 0:
            raise ConfigurationError.of("limit_s", "be above 0", limit_s)
        self.limit_s: Final = limit_s
        self._monotonic = monotonic
        self._last = monotonic()

    def beat(self) -> None:
        """Say that the loop has come round; cheap enough for every pass."""
        self._last = self._monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the last beat, or since the start."""
        return self._monotonic() - self._last


class Readiness:
    """Named checks, all of which must pass before the process may be given work.

    Parameters
    ----------
    names : iterable of str
        The checks. One that nobody has reported fails.
    secrets : Secrets, optional
        What no problem may show.
    """

    def __init__(self, names: Iterable[str] = READY_CHECKS, secrets: Secrets = _NO_SECRETS) -> None:
        self._checks: dict[str, Check] = {name: lambda: _NOT_REPORTED for name in names}
        self._secrets = secrets
        self._lock = threading.Lock()
        if not self._checks:
            raise ConfigurationError.of("names", "hold at least one check", ())

    def report(self, name: str, problem: str | None) -> None:
        """Say how a check stands: None if it passes, else what is wrong, as a phrase.

        Raises
        ------
        UnknownName
            If there is no such check.
        """
        self.watch(name, lambda: problem)

    def watch(self, name: str, check: Check) -> None:
        """Ask `check` on every request instead; for what changes by the passing of time, such as the age of data.

        It runs in the thread of the server, and must not wait for anything. If it raises, the check fails.

        Raises
        ------
        UnknownName
            If there is no such check.
        """
        with self._lock:
            if name not in self._checks:
                raise UnknownName.among("readiness check", name, self._checks)
            self._checks[name] = check

    def results(self) -> dict[str, str | None]:
        """Return each check's problem, or None, in the order of their names as given."""
        with self._lock:
            checks = dict(self._checks)
        return {name: self._ask(check) for name, check in checks.items()}

    def _ask(self, check: Check) -> str | None:
        try:
            problem = check()
        except Exception as exc:  # noqa: BLE001  a check that cannot be made has failed
            problem = f"the check raised {type(exc).__name__}: {exc}"
        return None if problem is None else self._secrets.hide(problem)
