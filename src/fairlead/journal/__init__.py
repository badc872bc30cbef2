"""The append-only record of what happened: hash-chained, durable before anything is sent, in SQLite or PostgreSQL."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairlead.journal.export import export_parquet
    from fairlead.journal.head import Head, read_head, write_head
    from fairlead.journal.journal import Journal
    from fairlead.journal.records import Entry, Kind, Record, Ticket
    from fairlead.journal.settings import JournalSettings
    from fairlead.journal.store import JournalStore, open_store
    from fairlead.journal.verification import Verdict, verify

__all__ = [
    "Entry",
    "Head",
    "Journal",
    "JournalSettings",
    "JournalStore",
    "Kind",
    "Record",
    "Ticket",
    "Verdict",
    "export_parquet",
    "open_store",
    "read_head",
    "verify",
    "write_head",
]

_ROOMS: Final = {
    "export": ("export_parquet",),
    "head": ("Head", "read_head", "write_head"),
    "journal": ("Journal",),
    "records": ("Entry", "Kind", "Record", "Ticket"),
    "settings": ("JournalSettings",),
    "store": ("JournalStore", "open_store"),
    "verification": ("Verdict", "verify"),
}


def __getattr__(name: str) -> Any:
    # The database library is loaded by who opens a journal, not by who names a kind of record.
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"fairlead.journal.{room}"), name)
    raise AttributeError(f"module 'fairlead.journal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
