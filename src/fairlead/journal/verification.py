"""Verification: whether a chain is whole, and if not, which record is the first that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from fairlead.journal.head import Head
from fairlead.journal.records import GENESIS, Record
from fairlead.journal.store import JournalStore


class Fault(StrEnum):
    """What can be wrong with a chain."""

    CHANGED = "changed"
    """A record does not have the hash that its content gives."""
    LINK = "link"
    """A record does not name the hash of the one before it."""
    GAP = "gap"
    """Records are missing before it."""
    OUT_OF_ORDER = "out of order"
    DUPLICATE = "duplicate"
    TRUNCATED = "truncated"
    """The journal ends before its head."""
    HEAD = "head"
    """The record in the head's place is another one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a verification.

    Attributes
    ----------
    records : int
        How many are in order, from the first on.
    head : Head, optional
        The last of them: what to keep elsewhere. None if there is none.
    fault : Fault, optional
        What is wrong; None if nothing is.
    seq : int, optional
        The first record that is wrong, or missing.
    text : str
        The same in words; empty if nothing is wrong.
    """

    records: int
    head: Head | None
    fault: Fault | None = None
    seq: int | None = None
    text: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None


def verify(chain: JournalStore | Iterable[Record], expected: Head | None = None, *, after: Head | None = None) -> Verdict:
    """Check every record and every link, in one pass and bounded memory.

    Parameters
    ----------
    chain : JournalStore or iterable of Record
    expected : Head, optional
        A record that the journal must hold: without it, records that are missing from the end do not show.
    after : Head, optional
        Start with the record that follows this one, which is taken to be right.
    """
    start, link = (after.seq, after.hash) if after is not None else (0, GENESIS)
    records = iter(chain) if isinstance(chain, Iterable) else chain.read(start + 1)
    seq, known = start, expected is None or expected.seq <= start
    for record in _stream(records):
        fault, text = _check(record, seq, link)
        if fault is None and expected is not None and record.seq == expected.seq and record.hash != expected.hash:
            fault, text = Fault.HEAD, f"it has the hash {record.hash[:12]}..., and the head says {expected.hash[:12]}..."
        if fault is not None:
            # Of a gap the first record that is missing is the one to look for.
            at = seq + 1 if fault is Fault.GAP else record.seq
            return Verdict(seq - start, Head(seq, link) if seq else None, fault, at, f"record {at}: {text}.")
        seq, link = record.seq, record.hash
        known = known or (expected is not None and seq == expected.seq)
    head = Head(seq, link) if seq else None
    if not known and expected is not None:
        text = f"record {seq + 1}: the journal ends before it, and the head says that there were {expected.seq} at least."
        return Verdict(seq - start, head, Fault.TRUNCATED, seq + 1, text)
    return Verdict(seq - start, head)


def _stream(records: Iterator[Record]) -> Iterator[Record]:
    try:
        yield from records
    finally:
        close = getattr(records, "close", None)
        if close is not None:
            close()  # lets go of the database where a fault ends the reading


def _check(record: Record, seq: int, link: str) -> tuple[Fault | None, str]:
    if record.seq == seq:
        return Fault.DUPLICATE, "it is there twice"
    if record.seq < seq:
        return Fault.OUT_OF_ORDER, f"it stands after record {seq}"
    if record.seq > seq + 1:
        missing = f"records {seq + 1} to {record.seq - 1} are" if record.seq > seq + 2 else "it is"
        return Fault.GAP, f"{missing} missing"
    if record.computed_hash() != record.hash:
        return Fault.CHANGED, "its content does not give its hash: it was changed after it was written"
    if record.previous != link:
        return Fault.LINK, f"it follows {record.previous[:12]}..., and the record before it is {link[:12]}..."
    return None, ""
