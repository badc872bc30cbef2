"""A paper session that was interrupted: found again, and gone on with where it was."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from fairlead.backtest.rundir import RUNS
from fairlead.control import SESSIONS, CommandName
from fairlead.control.inputs import FINISHED, INSTANT, RESUME, SessionInputs
from fairlead.core.errors import ConfigurationError, DataNotFound
from fairlead.core.events import Bar
from fairlead.core.time import format_utc
from fairlead.data.live.source import FeedFacts
from fairlead.journal import Journal, JournalSettings, Kind, Record
from fairlead.journal.retrace import RetracedJournal
from fairlead.journal.settings import FILE
from fairlead.journal.tape import Input, Tape, read_tape
from fairlead.risk.monitors import LatchState

TAPE: Final = "inputs.tape"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a session is gone on with under, or not at all.

    Attributes
    ----------
    configuration : str
        Hash of the configuration.
    history : str
        Hash of the history that is played again; empty if none is.
    symbols : list of str
    journal : str
        The server's database that its records are in; empty for a file. The hash of a configuration is the same for every URL
        that a secret is part of.
    """

    configuration: str
    history: str
    symbols: list[str]
    journal: str

    @classmethod
    def of(cls, config_hash: str, facts: FeedFacts, journal: JournalSettings) -> Circumstances:
        """Return those of a session that has such a configuration, feed and journal."""
        return cls(config_hash, facts.content_hash, list(facts.symbols), journal.server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """A session that began and has nothing to show yet.

    Attributes
    ----------
    folder : Path
    header : Input
        What it began with.
    last_ns : int
        When it took in the last thing that is known.
    last_instant_ns : int
        The newest bars that it took in; 0 if there are none.
    """

    folder: Path
    header: Input
    last_ns: int
    last_instant_ns: int

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.folder.name

    @property
    def began(self) -> dt.datetime:
        """When it was started."""
        return dt.datetime.fromisoformat(self.header.data["began"])

    @property
    def latch(self) -> LatchState:
        """What was halted then."""
        return LatchState.of(self.header.data["latch"])

    def check(self, now: Circumstances) -> None:
        """Refuse to go on under other circumstances.

        Raises
        ------
        ConfigurationError
            If configuration, history or journal is another.
        """
        changed = [name for name, value in asdict(now).items() if self.header.data.get(name, "") != value]
        if changed:
            remedy = "Go on with it as it was, or start another session: --anew."
            text = f"session {self.run_id} was interrupted at {format_utc(self.last_ns)}, and has another {changed[0]}"
            raise ConfigurationError(f"{text} than this one. {remedy}")

    def past(self) -> Iterator[Input]:
        """Give what it took in."""
        return islice(read_tape(self.folder / TAPE), 1, None)

    def retraced(self, journal: Journal) -> RetracedJournal:
        """Return the journal, to be gone through once more."""
        # A database may hold the records of other sessions too.
        return RetracedJournal(
            journal,
            int(self.header.data["journal_seq"]),
            lambda record: record.run_id != self.run_id or _is_of_one_life(record),
        )


def find_interrupted(workspace: Path, named: re.Pattern[str]) -> Interrupted | None:
    """Return the newest session with such a name that was interrupted, if it was not followed by one that was not.

    Raises
    ------
    StorageError
        If its tape is damaged.
    """
    newest: tuple[int, Path] | None = None
    for path in (workspace / SESSIONS).glob(f"*/{TAPE}"):
        if not named.fullmatch(path.parent.name):
            continue
        try:
            began = next(read_tape(path)).ts_ns
        except DataNotFound:  # it ended before it began
            continue
        newest = max(newest or (began, path), (began, path))
    if newest is None or (workspace / RUNS / newest[1].parent.name).exists():
        return None
    return _read(newest[1])


def _read(path: Path) -> Interrupted | None:
    taken = read_tape(path)
    header = last = next(taken)
    last_instant_ns = 0
    for last in taken:
        if last.kind == INSTANT:
            _, *bar = last.data["bars"][0]
            last_instant_ns = Bar(*bar).known_ns
    if last.kind == FINISHED:
        return None
    return Interrupted(folder=path.parent, header=header, last_ns=last.ts_ns, last_instant_ns=last_instant_ns)


def begin_inputs(
    folder: Path,
    now_ns: Callable[[], int],
    began: dt.datetime,
    latch: LatchState,
    journal: Journal,
    circumstances: Circumstances,
) -> SessionInputs:
    """Begin a tape; one of an earlier session in the same folder is kept beside it.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    path = folder / TAPE
    if path.exists():
        number = sum(1 for _ in folder.glob(f"{TAPE}.*")) + 1
        path.replace(path.with_name(f"{TAPE}.{number}"))
    header: dict[str, Any] = {
        "began": began.isoformat(),
        "latch": latch.to_dict(),
        "journal_seq": journal.last_seq + 1,
        **asdict(circumstances),
    }
    began_ns = now_ns()
    return SessionInputs(Tape.create(path, began_ns, header), now_ns, began_ns)


def resume_inputs(interrupted: Interrupted, now_ns: Callable[[], int]) -> SessionInputs:
    """Go on with a tape, and give what is on it first.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    tape = Tape.reopen(interrupted.folder / TAPE)
    return SessionInputs(tape, now_ns, interrupted.header.ts_ns, interrupted.past())


def finish_inputs(folder: Path, now_ns: int) -> None:
    """Say on the tape of a session that what it has to show is kept.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    with Tape.reopen(folder / TAPE) as tape:
        tape.append(Input(FINISHED, now_ns, {}))
        tape.sync()


def traces_of(folder: Path) -> bool:
    """Whether a session has run in a folder: its journal may be elsewhere, and its tape is not."""
    return (folder / FILE).exists() or (folder / TAPE).exists()


def _is_of_one_life(record: Record) -> bool:
    """Whether a record does not come again: a question, or that the session was gone on with."""
    if record.kind == Kind.COMMAND:
        return bool(record.data["command"]["name"] == CommandName.STATUS)
    return bool(record.kind == Kind.SESSION and record.data["event"] == RESUME)
