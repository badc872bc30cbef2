"""What operators do at a broker without a session, on record: who, why, and what came of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from fairlead.contracts.files import storage_error, write_json
from fairlead.control.places import SESSIONS, SessionPlace, list_sessions
from fairlead.core.errors import ConfigurationError, DataNotFound, FairleadError, StorageError
from fairlead.core.identity import slug
from fairlead.core.time import NS_PER_DAY, format_utc
from fairlead.journal import Entry, Journal, JournalSettings, Kind, open_store

_VERBS: Final = "operator"
_ATTEMPTS: Final = 20
_AGAIN_S: Final = 0.1


def running_sessions(workspace: Path, title: str) -> list[SessionPlace]:
    """Return the sessions of a title that run, on whatever day they began."""
    named = re.compile(rf"[a-z]+_\w+_\d{{4}}-\d{{2}}-\d{{2}}_{re.escape(slug(title))}(_\d+)?")
    return [place for place in list_sessions(workspace) if place.is_running and named.fullmatch(place.name)]


class OperatorBook:
    """The journal of a title, for who steps in beside its sessions.

    What is to take risk away must not wait for a disk or a database: what could not be written down is told, and no more.

    Parameters
    ----------
    settings : JournalSettings
        With a URL it is that database, which a session of the title may be writing to; else a file of its own.
    workspace : Path
    title : str
    who, why : str
    now_ns : callable
    sleep : callable
        Waits for seconds while somebody else writes.

    Attributes
    ----------
    unwritten : str
        Why something was not written down; empty if everything was.
    """

    def __init__(
        self,
        settings: JournalSettings,
        workspace: Path,
        title: str,
        *,
        who: str,
        why: str,
        now_ns: Callable[[], int],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.unwritten = ""
        self._settings, self._who, self._why = settings, who, why
        self._run_id = f"{_VERBS}_{slug(title)}"
        self._home = workspace if settings.url else workspace / SESSIONS / f"{slug(title)}.{_VERBS}"
        self._now_ns, self._sleep = now_ns, sleep

    @property
    def place(self) -> str:
        """Where it is."""
        return self._settings.server or self._settings.place(self._home)

    def note(self, verb: str, outcome: str, details: Mapping[str, Any] | None = None) -> None:
        """Write down what is done, or what came of it; it is on the disk when this returns, or `unwritten` says why not."""
        payload = {"command": verb, "who": self._who, "reason": self._why, "outcome": outcome, "details": dict(details or {})}
        try:
            if not self._settings.url:
                self._make_home()
            with closing(self._opened()) as journal:
                journal.append(Entry(self._now_ns(), Kind.COMMAND, payload))
                journal.flush()
        except FairleadError as exc:
            self.unwritten = str(exc)

    def first_nav_today(self, account_id: str) -> tuple[int, float] | None:
        """Return when the account's value was first written down today (UTC), and what it was; None if it was not."""
        today = self._now_ns() // NS_PER_DAY
        try:
            with closing(open_store(self._settings.place(self._home))) as store:
                for record in store.read():
                    if record.run_id != self._run_id or record.ts_ns // NS_PER_DAY != today:
                        continue
                    account = record.data.get("details", {}).get("account") or {}
                    if account.get("account_id") == account_id and account.get("nav") is not None:
                        return record.ts_ns, float(account["nav"])
        except (DataNotFound, StorageError):
            return None
        return None

    def _make_home(self) -> None:
        try:
            self._home.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise storage_error("write", self._home, exc) from exc

    def _opened(self) -> Journal:
        for attempt in range(_ATTEMPTS):
            try:
                return Journal.open(self._settings, self._run_id, self._home)
            except StorageError:  # another operator, most likely, and only for a moment
                if attempt == _ATTEMPTS - 1:
                    raise
                self._sleep(_AGAIN_S)
        raise AssertionError


class Links:
    """Whether the sessions of a title may connect: what an operator ended is not taken up again by itself, nor by a supervisor.

    Parameters
    ----------
    workspace : Path
    title : str
    """

    def __init__(self, workspace: Path, title: str) -> None:
        self.title = title
        self.path = workspace / SESSIONS / f"{slug(title)}.disconnected.json"

    @property
    def ended(self) -> Mapping[str, Any] | None:
        """Who ended them, why and when; None if nobody did. A mark that cannot be read counts as one."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            return {"who": "", "why": f"{self.path} cannot be read: {exc.strerror}", "ts_ns": 0}
        try:
            held = json.loads(data)
            return {"who": str(held["who"]), "why": str(held["why"]), "ts_ns": int(held["ts_ns"])}
        except (ValueError, KeyError, TypeError):
            return {"who": "", "why": f"{self.path} is damaged", "ts_ns": 0}

    def end(self, *, who: str, why: str, ts_ns: int) -> bool:
        """Let nobody connect from now on; return whether that was not so already.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        if self.ended is not None:
            return False
        write_json(self.path, {"who": who, "why": why, "ts_ns": ts_ns})
        return True

    def lift(self) -> bool:
        """Let sessions connect again; return whether they might not.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise storage_error("remove", self.path, exc) from exc
        return True

    def check(self) -> None:
        """Refuse to connect, if an operator has ended it: what a session calls before it does.

        Raises
        ------
        ConfigurationError
            Saying who ended it, when and why, and how it is lifted.
        """
        if (held := self.ended) is not None:
            when = f" at {format_utc(held['ts_ns'])}" if held["ts_ns"] else ""
            by = f" by {held['who']}" if held["who"] else ""
            text = f"the sessions of {self.title!r} were disconnected{by}{when}: {held['why']}"
            raise ConfigurationError(f"{text}. Lift it first: fairlead broker disconnect --lift")
