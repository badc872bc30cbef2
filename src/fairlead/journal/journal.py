"""The journal: what happened is chained at once, written in groups, and known to be on the disk before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from fairlead.core.errors import FairleadError, StorageError
from fairlead.journal.head import Head, read_head, write_head
from fairlead.journal.records import GENESIS, Entry, Record, Ticket, seal
from fairlead.journal.settings import JournalSettings
from fairlead.journal.store import JournalStore, open_store
from fairlead.journal.verification import verify

_REMEMBERED: Final = 10_000


class Journal:
    """The one writer of a journal, for one session. Any thread may use it.

    Nothing runs in the background: records are written when somebody waits for one (`durable`), asks for it (`flush`), or
    `batch` of them are held back. All that are there by then go in one transaction, so a group of records, or of threads,
    waits for the disk once.

    A write that fails is the last: from then on every call raises, and the records that were held back are gone. Open the
    journal anew to go on; it says what it holds.

    Parameters
    ----------
    store : JournalStore
        Open for writing; the journal closes it.
    run_id : str
        The session.
    head : path, optional
        Where the newest hash is kept; see `fairlead.journal.head`.
    batch : int
        Records that are held back at most.
    head_every : int
        Records after which the head is written anew.

    Raises
    ------
    StorageError
        If the journal ends before its head, or does not hold together from the head on.
    """

    def __init__(
        self, store: JournalStore, run_id: str, *, head: Path | None = None, batch: int = 512, head_every: int = 1_000
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._head_path = head
        self._batch = batch
        self._head_every = head_every
        self._gate = Lock()
        self._writing = Lock()
        self._held: list[Record] = []
        self._failure = ""
        self._closed = False
        # What each place holds, as far as it was told lately: a ticket of another journal is none of this one.
        self._newer: dict[int, str] = {}
        self._older: dict[int, str] = {}
        kept = read_head(head) if head is not None else None
        newest = _checked_end(store, kept)
        self._seq, self._link = (newest.seq, newest.hash) if newest is not None else (0, GENESIS)
        self._durable = Head(self._seq, self._link)
        # What the file says and not what the database holds: after a crash the one lags behind the other.
        self._head_seq = kept.seq if kept is not None else 0

    @classmethod
    def open(cls, settings: JournalSettings, run_id: str, workspace: Path) -> Self:
        """Open the journal that `settings` describe, and make it if there is none.

        Raises
        ------
        ConfigurationError
            If the URL is wrong.
        StorageError
            If another session writes to it, it does not hold together, or the database refuses.
        """
        store = open_store(settings.place(workspace), write=True)
        try:
            head = settings.head_path(workspace)
            return cls(store, run_id, head=head, batch=settings.batch, head_every=settings.head_every)
        except BaseException:
            store.close()
            raise

    @property
    def durable_seq(self) -> int:
        """The place of the newest record that is on the disk; 0 if there is none. What a checkpoint remembers."""
        return self._durable.seq

    @property
    def last_seq(self) -> int:
        """The place of the newest record, on the disk or not."""
        return self._seq

    @property
    def failure(self) -> str:
        """Why the journal takes nothing any more; empty as long as it does."""
        return self._failure

    @property
    def room(self) -> int:
        """How many entries can be added until they are written without being asked for."""
        return self._batch - len(self._held)

    def append(self, entry: Entry) -> Ticket:
        """Add an entry to the chain and return its place. It is not durable yet; see `durable`.

        Raises
        ------
        ContractError
            If the entry cannot be written down; the journal is as it was.
        StorageError
            If this or an earlier write failed, or the journal is closed.
        """
        with self._gate:
            self._refuse_if_over()
            record = seal(entry, self._run_id, self._seq + 1, self._link)
            self._held.append(record)
            self._seq, self._link = record.seq, record.hash
            self._remember(record)
            full = len(self._held) >= self._batch
        if full:
            self.flush()
        return Ticket(record.seq, record.hash)

    def flush(self) -> None:
        """Return when everything that was appended before is on the disk.

        Raises
        ------
        StorageError
            If this or an earlier write failed, or the journal is closed.
        """
        with self._writing:
            with self._gate:
                self._refuse_if_over()
                batch, self._held = self._held, []
            if not batch:
                return
            try:
                self._store.append(batch)
                self._durable = Head(batch[-1].seq, batch[-1].hash)
                if self._durable.seq - self._head_seq >= self._head_every:
                    self._write_head()
            except BaseException as exc:
                with self._gate:
                    self._failure = str(exc) or f"{type(exc).__name__} while it wrote"
                    self._held = []
                raise

    def durable(self, ticket: Ticket) -> None:
        """Return when the record of `ticket` is on the disk: to be called before what it tells is sent.

        Raises
        ------
        StorageError
            If that cannot be, or the ticket is another journal's: nothing may be sent then.
        """
        if ticket.seq > self._durable.seq:
            self.flush()
        if self.is_durable(ticket):
            return
        record = next(self._store.read(ticket.seq), None)  # of an earlier session, or long ago
        if record is None or Ticket(record.seq, record.hash) != ticket:
            raise StorageError(
                f"{self._store.place} does not hold record {ticket.seq} with the hash {ticket.hash[:12]}...: nothing says that "
                "it is on the disk. Ask the journal that gave the ticket."
            )
        with self._gate:
            self._remember(record)

    def is_durable(self, ticket: Ticket) -> bool:
        """Whether the record of `ticket` is on the disk, as far as is known without waiting."""
        known = self._newer.get(ticket.seq) or self._older.get(ticket.seq)
        return ticket.seq <= self._durable.seq and known == ticket.hash

    def read(self, from_seq: int = 1) -> Iterator[Record]:
        """Give the records from `from_seq` on that are on the disk."""
        return self._store.read(from_seq)

    def close(self) -> None:
        """Write what is held back and the head, and let go of the database. A second time does nothing.

        Raises
        ------
        StorageError
            If what is held back cannot be written. After an earlier failure there is nothing to be written.
        """
        if self._closed:
            return
        try:
            if not self._failure:
                self.flush()
                if self._durable.seq > self._head_seq:
                    self._write_head()
        finally:
            with self._gate:
                self._closed = True
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        with suppress(FairleadError):  # the first error is the one to be told
            self.close()

    def _remember(self, record: Record) -> None:
        if len(self._newer) >= _REMEMBERED:
            self._older = self._newer
            self._newer = {}
        self._newer[record.seq] = record.hash

    def _write_head(self) -> None:
        if self._head_path is not None:
            write_head(self._head_path, self._durable)
            self._head_seq = self._durable.seq

    def _refuse_if_over(self) -> None:
        if self._failure:
            raise StorageError(f"the journal takes nothing since a write failed: {self._failure} Then open the journal anew.")
        if self._closed:
            raise StorageError(f"the journal {self._store.place} is closed.")


def _checked_end(store: JournalStore, head: Head | None) -> Record | None:
    """Return the newest record, once the chain is known to hold from the head to it."""
    newest = store.last()
    end = Head(newest.seq, newest.hash) if newest is not None else None
    if end is None or (head is not None and end.seq < head.seq):
        verdict = verify((), head, after=end)
    else:
        # From one before the newest, if no head says more: its link is then checked too.
        start = head.seq if head is not None else max(1, end.seq - 1)
        link = next(store.read(start)).previous
        verdict = verify(store, head, after=Head(start - 1, link) if start > 1 else None)
    if not verdict.whole:
        raise StorageError(
            f"{store.place} is damaged at {verdict.text} Put it back from a backup and keep this copy: "
            "fairlead journal verify tells more."
        )
    return newest
