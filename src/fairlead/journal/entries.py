"""Entries from the engine's own objects, and the objects back from their records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from fairlead.contracts import rows
from fairlead.core.errors import ContractError
from fairlead.core.events import Command, CommandKind
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order, OrderUpdate
from fairlead.journal.records import Entry, Kind, Record

_WISH: Final = "wish"
_ORDER: Final = "order"
_UPDATE: Final = "update"


def decision(ts_ns: int, strategy: str, payload: Mapping[str, Any], *, symbol: str = "") -> Entry:
    """Return what a strategy decided, with what it saw: whatever its author wants to find again."""
    return Entry(ts_ns, Kind.DECISION, payload, strategy, symbol)


def intent(ts_ns: int, strategy: str, wish: OrderIntent | CancelIntent | ReplaceIntent) -> Entry:
    """Return what a strategy wished for."""
    kind = rows.intent_kind(wish)
    named = (wish.symbol, "") if isinstance(wish, OrderIntent) else ("", wish.order_id)
    return Entry(ts_ns, Kind.INTENT, {"kind": kind, _WISH: rows.wish_of(wish)}, strategy, *named)


def order(ts_ns: int, made: Order) -> Entry:
    """Return an order as it stands: what is durable before it is sent."""
    return Entry(ts_ns, Kind.ORDER, {_ORDER: rows.order_row(made)}, made.strategy, made.symbol, made.order_id)


def update(ts_ns: int, change: OrderUpdate, *, strategy: str = "", symbol: str = "") -> Entry:
    """Return a change of an order's status. Its own stamp may be earlier than `ts_ns`, and is kept."""
    return Entry(ts_ns, Kind.ORDER, {_UPDATE: rows.update_row(change)}, strategy, symbol, change.order_id)


def fill(ts_ns: int, executed: Fill) -> Entry:
    """Return an execution. Its own stamp may be earlier than `ts_ns`, and is kept."""
    return Entry(ts_ns, Kind.FILL, rows.fill_row(executed), executed.strategy, executed.symbol, executed.order_id)


def command(given: Command, who: str, *, outcome: str = "", details: Mapping[str, Any] | None = None) -> Entry:
    """Return an operator's instruction: who gave it, why, and what came of it."""
    payload = {"command": given.kind.value, "who": who, "reason": given.reason, "outcome": outcome, "details": details or {}}
    return Entry(given.ts_ns, Kind.COMMAND, payload, given.strategy)


def guard_rejection(
    ts_ns: int, refused: Order, guard: str, reason: str, *, measured: float | None = None, limit: float | None = None
) -> Entry:
    """Return an order that a guard refused, with what it measured against which limit."""
    payload = {"guard": guard, "reason": reason, "measured": measured, "limit": limit, _ORDER: rows.order_row(refused)}
    return Entry(ts_ns, Kind.GUARD_REJECTION, payload, refused.strategy, refused.symbol, refused.order_id)


def switch(ts_ns: int, name: str, state: str, payload: Mapping[str, Any] | None = None, *, strategy: str = "") -> Entry:
    """Return what became of a kill switch.

    Parameters
    ----------
    name : str
        Such as ``KS_DD``.
    state : str
        Such as ``warning``, ``tripped`` or ``armed``.
    payload : mapping, optional
        Measure, limit, action, who and why.
    """
    return Entry(ts_ns, Kind.SWITCH, {**(payload or {}), "switch": name, "state": state}, strategy)


def config_change(
    ts_ns: int, setting: str, before: object, after: object, *, who: str, reason: str, strategy: str = ""
) -> Entry:
    """Return a setting that was changed while the session ran."""
    payload = {"setting": setting, "before": before, "after": after, "who": who, "reason": reason}
    return Entry(ts_ns, Kind.CONFIG_CHANGE, payload, strategy)


def session(
    ts_ns: int, event: Literal["start", "stop", "checkpoint", "resume"], payload: Mapping[str, Any] | None = None
) -> Entry:
    """Return the start, the stop or a checkpoint of a session, or that it goes on after an interruption."""
    return Entry(ts_ns, Kind.SESSION, {**(payload or {}), "event": event})


def reconciliation(ts_ns: int, payload: Mapping[str, Any], *, symbol: str = "") -> Entry:
    """Return what a comparison with the broker found and what was done about it."""
    return Entry(ts_ns, Kind.RECONCILIATION, payload, symbol=symbol)


def note(ts_ns: int, text: str, payload: Mapping[str, Any] | None = None, *, strategy: str = "", symbol: str = "") -> Entry:
    """Return anything else worth keeping: an exception of a strategy, an alert."""
    return Entry(ts_ns, Kind.NOTE, {**(payload or {}), "text": text}, strategy, symbol)


def intent_of(record: Record) -> OrderIntent | CancelIntent | ReplaceIntent:
    """Return the intent that a record of kind intent tells."""
    data = _data(record, Kind.INTENT, _WISH)
    return rows.intent_of(data["kind"], data[_WISH])


def order_of(record: Record) -> Order | None:
    """Return the order that a record of kind order tells; None if it tells a change of one."""
    data = _data(record, Kind.ORDER)
    return rows.order_of(data[_ORDER]) if _ORDER in data else None


def update_of(record: Record) -> OrderUpdate | None:
    """Return the change that a record of kind order tells; None if it tells an order as it was made."""
    data = _data(record, Kind.ORDER)
    return rows.update_of(data[_UPDATE]) if _UPDATE in data else None


def refused_of(record: Record) -> Order:
    """Return the order that a guard refused."""
    return rows.order_of(_data(record, Kind.GUARD_REJECTION, _ORDER)[_ORDER])


def fill_of(record: Record) -> Fill:
    """Return the execution that a record of kind fill tells."""
    return rows.fill_of(_data(record, Kind.FILL))


def command_of(record: Record) -> Command:
    """Return the instruction that a record of kind command tells."""
    data = _data(record, Kind.COMMAND, "command")
    return Command(CommandKind(data["command"]), record.ts_ns, record.strategy, data["reason"])


def _data(record: Record, kind: Kind, needed: str = "") -> dict[str, Any]:
    data = record.data
    if record.kind != kind or needed not in {"", *data}:
        raise ContractError.of(f"record {record.seq}", f"be of kind {kind}", record.kind)
    return data
