"""Where a journal is kept, and how much of it is written at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from fairlead.contracts.settings import Settings

FILE: Final = "journal.db"
HEAD_FILE: Final = "journal.head"


class JournalSettings(Settings):
    """Settings of a journal.

    Attributes
    ----------
    url : str
        ``postgresql://...``, ``sqlite:///...`` or a path; empty for ``journal.db`` in the workspace.
    head : str
        File with the newest hash; empty for ``journal.head`` beside the database, or in the workspace.
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
        place = self.place(workspace)
        if place.startswith("sqlite:///"):
            place = place.removeprefix("sqlite:///")
        return workspace / HEAD_FILE if "://" in place else Path(place).expanduser().with_name(HEAD_FILE)
