"""Where a journal is kept, and how much of it is written at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs

from pydantic import Field

from fairlead.contracts.settings import Settings

FILE: Final = "journal.db"
_HEAD: Final = ".head"
_SERVER: Final = re.compile(r"[^:]*://(?:[^:/@?]*(?::[^@]*)?@)?(?P<where>[^?]*)\??(?P<query>.*)", re.DOTALL)
_UNSAFE: Final = re.compile(r"[^\w.]+")


class JournalSettings(Settings):
    """Settings of a journal.

    Attributes
    ----------
    url : str
        ``postgresql://...``, ``sqlite:///...`` or a path; empty for ``journal.db`` in the workspace.
    head : str
        File with the newest hash; empty for one beside the database that is called as it is (``journal.head``), or of a server
        one in the workspace with the host and the database in its name (``journal-host-name.head``).
    batch : int
        Records that are held back at most before they are written, if nobody waits for one.
    head_every : int
        Records after which the head is written anew; it also is when the journal is closed.
    """

    url: str = ""
    head: str = ""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 512
    head_every: Annotated[int, Field(ge=1)] = 1_000

    def place(self, workspace: Path) -> str:
        """Return the URL or path of the database."""
        return self.url or str(workspace / FILE)

    def head_path(self, workspace: Path) -> Path:
        """Return the path of the head."""
        if self.head:
            return Path(self.head).expanduser()
        file = self.file(workspace)
        if file is None:
            return workspace / f"journal-{_server(self.url)}{_HEAD}"
        return file.with_suffix(_HEAD) if file.suffix == ".db" else file.with_name(f"{file.name}{_HEAD}")

    @property
    def server(self) -> str:
        """What tells a database on a server from others, without user and password; empty for a file."""
        return _server(self.url) if self.file(Path()) is None else ""

    def file(self, workspace: Path) -> Path | None:
        """Return the path of an SQLite database; None of a database on a server."""
        place = self.place(workspace).removeprefix("sqlite:///")
        return None if "://" in place else Path(place).expanduser()


def _server(url: str) -> str:
    """Return what tells the databases of servers apart, as part of a file's name: never a user or a password."""
    found = _SERVER.fullmatch(url)
    where, query = found.group("where", "query") if found else ("", "")
    told = parse_qs(query)
    parts = [where, *(value for name in ("host", "port", "dbname", "options") for value in told.get(name, ()))]
    return _UNSAFE.sub("-", " ".join(parts)).strip("-")
