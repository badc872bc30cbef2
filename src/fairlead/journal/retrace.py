"""A journal that is gone through once more: what it holds already must come again, and what is new is added.

A session that is restarted takes in its tape once more, and does what it did. Whatever it would write down is held against what
the journal says it wrote. So a restart proves itself, record by record, before anything new is sent.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fairlead.contracts.files import canonical_json
from fairlead.core.errors import FairleadError
from fairlead.journal.journal import Journal
from fairlead.journal.records import Entry, Kind, Record

CHECKPOINT: Final = "checkpoint"
_TOLD: Final = frozenset({Kind.NOTE, Kind.SESSION})
"""Kinds that tell and decide nothing: one that does not come again as it was is no reason to stop."""
_SHOWN: Final = 300

Skipped: TypeAlias = Callable[[Record], bool]
"""Whether a record is none that comes again: an operator's question, say."""
Key: TypeAlias = tuple[int, str, str, str, str]


class Diverged(FairleadError):
    """A session that takes in what it took in before does something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraced:
    """What came of it.

    Attributes
    ----------
    found : int
        Records that came again as they stand.
    added : int
        Records that the journal did not have yet.
    """

    found: int
    added: int

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as plain data, for a journal."""
        return {"found": self.found, "added": self.added}


class RetracedJournal:
    """Stands before a journal until everything in it has come again.

    Parameters
    ----------
    journal : Journal
    from_seq : int
        The first record of the session.
    skipped : callable
    """

    def __init__(self, journal: Journal, from_seq: int, skipped: Skipped) -> None:
        self._journal = journal
        # Of each record no more than is needed to know it again: a journal may be long. Kinds have a queue each, since a
        # crash may have cost a note and not the order after it.
        self._expected: dict[Kind, deque[tuple[int, int]]] = {kind: deque() for kind in Kind}
        for record in journal.read(from_seq):
            if not skipped(record):
                self._expected[Kind(record.kind)].append((record.seq, hash(_key_of(record))))
        self._found = self._added = 0
        self._is_over = False

    @property
    def failure(self) -> str:
        """Why nothing can be written any more; empty as long as it can."""
        return self._journal.failure

    @property
    def room(self) -> int:
        """How many entries can be added until they are written; see `Journal.room`."""
        return self._journal.room

    def append(self, entry: Entry) -> None:
        """Hold an entry against the next record of its kind; add it if there is none.

        Raises
        ------
        Diverged
            If the record says something else.
        ContractError, StorageError
            As `Journal.append`.
        """
        expected = self._expected[entry.kind]
        if self._is_over or not expected:
            self._journal.append(entry)
            self._added += not self._is_over
            return
        key = (int(entry.ts_ns), entry.strategy, entry.symbol, entry.order_id, canonical_json(entry.payload))
        seq, known = expected[0]
        if hash(key) == known:
            expected.popleft()
            self._found += 1
        elif entry.kind in _TOLD and entry.payload.get("event") != CHECKPOINT:
            self._journal.append(entry)
            self._added += 1
        else:
            raise self._diverged(seq, f"{entry.kind} {_text(key)}")

    def flush(self) -> None:
        """Return when everything is on the disk; see `Journal.flush`."""
        self._journal.flush()

    def finish(self) -> Retraced:
        """Let everything through from now on, and return what came of it.

        Raises
        ------
        Diverged
            If the journal has more than came again.
        """
        self._is_over = True
        left = [queue[0][0] for kind, queue in self._expected.items() if queue and kind not in _TOLD]
        if left:
            raise self._diverged(min(left), "nothing")
        self._expected = {kind: deque() for kind in Kind}
        return Retraced(found=self._found, added=self._added)

    def _diverged(self, seq: int, again: str) -> Diverged:
        record = next(self._journal.read(seq))
        return Diverged(
            f"record {seq} of the journal does not come again, so the session cannot go on where it was. It says {record.kind} "
            f"{_text(_key_of(record))}; now came {again}. Code, data or settings have changed, or the strategy does not depend "
            "on its inputs alone. Put back what changed, or start another session with --anew."
        )


def _key_of(record: Record) -> Key:
    return record.ts_ns, record.strategy, record.symbol, record.order_id, record.payload


def _text(key: Key) -> str:
    ts_ns, *names, payload = key
    text = " ".join([str(ts_ns), *(name for name in names if name), json.dumps(json.loads(payload), ensure_ascii=False)])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
