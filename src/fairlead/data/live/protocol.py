"""The project's own protocol of market data over a websocket: JSON, one object per text frame (docs/guides/live-feeds.md).

Beside bars and ticks (`fairlead.contracts.market_messages`) it has the few messages of this module. A server numbers the events
of a subscription from 0 at the beginning of its session, whenever one subscribes: the numbers depend on the symbols alone, so a
client that comes back goes on counting and sees what it has missed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from fairlead.contracts.market_messages import BarMessage, Symbol, TickMessage, Utc
from fairlead.contracts.settings import Settings, problem_texts
from fairlead.core.errors import ContractError
from fairlead.core.time import BarSize

PROTOCOL: Final = "1.0"
BACKFILL_MOST: Final = 1_000
"""Most events of one answer; who misses more asks again."""
_SHOWN: Final = 80
_NO_KIND: Final = "a message needs a type or event_type of the protocol"

Number = Annotated[int, Field(ge=0)]


class Welcome(Settings):
    """Server: the first message of a connection."""

    type: Literal["welcome"] = "welcome"
    protocol: Literal["1.0"] = "1.0"
    producer_id: str
    """Another one means another session, whose numbers begin anew."""
    bar_size: BarSize
    calendar: str
    symbols: tuple[Symbol, ...]


class Subscribed(Settings):
    """Server: the answer to `Subscribe`; events follow from number `next_number` on.

    If it was asked for those since an instant, `first_number` is that of the first of them: up to `next_number` they can be
    asked for like what was missed.
    """

    type: Literal["subscribed"] = "subscribed"
    symbols: tuple[Symbol, ...]
    next_number: Number
    first_number: Number | None = None


class Heartbeat(Settings):
    """Server: all events below `next_number` have been sent."""

    type: Literal["heartbeat"] = "heartbeat"
    next_number: Number


class End(Settings):
    """Server: the session is over; the last event was `next_number` - 1. Backfill is still answered."""

    type: Literal["end"] = "end"
    next_number: Number


class Backfill(Settings):
    """Server: the events `first` to `last`, both included, of those asked for: all of them, or as many as one answer holds."""

    type: Literal["backfill"] = "backfill"
    request_id: Number
    first: Number
    last: Number
    events: tuple[MarketMessageOf, ...]


class ErrorMessage(Settings):
    """Server: a request was refused; `oldest_number` is that of the oldest event that can be had, if it was too old a one."""

    type: Literal["error"] = "error"
    code: Literal["bad_message", "unknown_symbol", "not_subscribed", "unavailable", "forbidden"]
    message: str
    request_id: Number | None = None
    oldest_number: Number | None = None


class Subscribe(Settings):
    """Client: send the events of these symbols, instead of those of an earlier subscription.

    With `since`, the answer says which was the first that is stamped after it.
    """

    type: Literal["subscribe"] = "subscribe"
    symbols: tuple[Symbol, ...] = Field(min_length=1, max_length=10_000)
    since: Utc | None = None


class BackfillRequest(Settings):
    """Client: send the events `first` to `last` of the subscription, both included."""

    type: Literal["backfill_request"] = "backfill_request"
    request_id: Number
    first: Number
    last: Number


class Control(Settings):
    """Client: let a fault befall the next `count` events. Only of servers that were started with ``--allow-control``."""

    type: Literal["control"] = "control"
    fault: Literal["drop", "gap", "duplicate", "reorder", "malformed", "silence"]
    count: int = Field(default=1, ge=1, le=1_000_000)


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("type", value.get("event_type", "")))
    return str(getattr(value, "type", getattr(value, "event_type", "")))


MarketMessageOf: TypeAlias = Annotated[
    Annotated[BarMessage, Tag("bar_event")] | Annotated[TickMessage, Tag("tick_event")],
    Discriminator(_kind, custom_error_type="message_kind", custom_error_message=_NO_KIND),
]
ServerMessage: TypeAlias = Annotated[
    Annotated[BarMessage, Tag("bar_event")]
    | Annotated[TickMessage, Tag("tick_event")]
    | Annotated[Welcome, Tag("welcome")]
    | Annotated[Subscribed, Tag("subscribed")]
    | Annotated[Heartbeat, Tag("heartbeat")]
    | Annotated[End, Tag("end")]
    | Annotated[Backfill, Tag("backfill")]
    | Annotated[ErrorMessage, Tag("error")],
    Discriminator(_kind, custom_error_type="message_kind", custom_error_message=_NO_KIND),
]
ClientMessage: TypeAlias = Annotated[
    Annotated[Subscribe, Tag("subscribe")]
    | Annotated[BackfillRequest, Tag("backfill_request")]
    | Annotated[Control, Tag("control")],
    Discriminator(_kind, custom_error_type="message_kind", custom_error_message=_NO_KIND),
]
Backfill.model_rebuild()
_SERVER: Final[TypeAdapter[Any]] = TypeAdapter(ServerMessage)
_CLIENT: Final[TypeAdapter[Any]] = TypeAdapter(ClientMessage)


def read_server(text: str | bytes) -> ServerMessage:
    """Return what a server sent.

    Raises
    ------
    ContractError
        If it is not a message of the protocol.
    """
    message: ServerMessage = _read(_SERVER, text)
    return message


def read_client(text: str | bytes) -> ClientMessage:
    """Return what a client sent; raises as `read_server` does."""
    message: ClientMessage = _read(_CLIENT, text)
    return message


def text_of(message: Settings | Mapping[str, Any]) -> str:
    """Return a message as one line of JSON."""
    data = message.model_dump(mode="json", exclude_none=True) if isinstance(message, Settings) else message
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def _read(adapter: TypeAdapter[Any], text: str | bytes) -> Any:
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as exc:
        shown = text[:_SHOWN]
        raise ContractError(f"{shown!r} is no message of the protocol: {problem_texts(exc)[0]}.") from exc
