"""Records: what happened, its place in the chain, and the hash that holds it there (domain rules 1.7, 16.4).

The hash of a record is the SHA-256 of its canonical JSON: all fields but the hash itself, keys sorted, the hash of the record
before it among them. Whoever changes, removes or moves a record changes every hash after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple

from fairlead.contracts.files import canonical_json, sha256_bytes
from fairlead.core.errors import ContractError

GENESIS: Final = "0" * 64
"""Stands where the first record has no other before it."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NS: Final = 1 << 63


class Kind(StrEnum):
    """What a record tells."""

    DECISION = "decision"
    INTENT = "intent"
    ORDER = "order"
    """An order as it was made, or a change of its status."""
    FILL = "fill"
    COMMAND = "command"
    GUARD_REJECTION = "guard_rejection"
    SWITCH = "switch"
    """A kill switch that tripped, warned or was re-armed."""
    CONFIG_CHANGE = "config_change"
    SESSION = "session"
    """A session's start, stop or checkpoint."""
    RECONCILIATION = "reconciliation"
    NOTE = "note"


class Entry(NamedTuple):
    """What is to be written down. `fairlead.journal.entries` makes them from the engine's own objects.

    Parameters
    ----------
    ts_ns : int
        By the clock of whoever tells it; UTC nanoseconds.
    kind : Kind
    payload : mapping
        Anything that JSON can express; see `fairlead.contracts.files.canonical_json`. A number that is not finite becomes null.
    strategy, symbol, order_id : str
        Whom it concerns; empty for nobody in particular.
    """

    ts_ns: int
    kind: Kind
    payload: Mapping[str, Any]
    strategy: str = ""
    symbol: str = ""
    order_id: str = ""


class Record(NamedTuple):
    """An entry in its place.

    Parameters
    ----------
    seq : int
        1, 2, 3, ... without a gap.
    run_id : str
        The session that wrote it.
    payload : str
        Canonical JSON.
    previous, hash : str
        64 hex digits: of the record before it, and of this one.
    """

    seq: int
    ts_ns: int
    kind: str
    run_id: str
    strategy: str
    symbol: str
    order_id: str
    payload: str
    previous: str
    hash: str

    @property
    def data(self) -> dict[str, Any]:
        """The payload as plain values."""
        data: dict[str, Any] = json.loads(self.payload)
        return data

    def computed_hash(self) -> str:
        """Return the hash that the other fields give."""
        return _hash_of(self)


class Ticket(NamedTuple):
    """What an append gives back: the place of the record and its hash. It is durable once `Journal.durable` returns."""

    seq: int
    hash: str


make_record: Final = partial(tuple.__new__, Record)
"""A `Record` from a tuple of all its fields, made in C."""


def seal(entry: Entry, run_id: str, seq: int, previous: str) -> Record:
    """Return `entry` as the record that follows the one with hash `previous`.

    Raises
    ------
    ContractError
        If a field cannot be written down; the message names it.
    """
    ts_ns = entry.ts_ns
    if int(ts_ns) != ts_ns or not -_MAX_NS <= ts_ns < _MAX_NS:
        raise ContractError.of("ts_ns", "be nanoseconds since the epoch, a whole number of 64 bits", ts_ns)
    names = (run_id, entry.strategy, entry.symbol, entry.order_id)
    if _CONTROL.search("".join(names)):
        raise ContractError.of("run_id, strategy, symbol and order_id", "hold no control characters", names)
    fields = (seq, int(ts_ns), Kind(entry.kind).value, *names, canonical_json(entry.payload), previous, "")
    record: Record = make_record(fields)
    try:
        return record._replace(hash=_hash_of(record))
    except UnicodeEncodeError as exc:
        raise ContractError.of(f"text of a {entry.kind} record", "be valid Unicode", exc.object[exc.start : exc.end]) from exc


def _hash_of(record: Record) -> str:
    seq, ts_ns, kind, run_id, strategy, symbol, order_id, payload, previous, _ = record
    text = encode_basestring
    # Canonical JSON by hand, keys in order: the payload is canonical already, and to read it again would cost most of the time.
    return sha256_bytes(
        (
            f'{{"kind":{text(kind)},"order_id":{text(order_id)},"payload":{payload},"previous":{text(previous)},"run_id":'
            f'{text(run_id)},"seq":{seq},"strategy":{text(strategy)},"symbol":{text(symbol)},"ts_ns":{ts_ns}}}'
        ).encode()
    )
