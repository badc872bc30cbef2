"""Messages of Alpaca's streams as they travel: JSON, or MessagePack for who asks for it."""

from __future__ import annotations

import json
from typing import Any

from fairlead.core.time import NS_PER_SECOND


def wants_packed(content_type: str) -> bool:
    """Return whether a client asks for MessagePack."""
    return "msgpack" in content_type


def read_message(message: str | bytes, *, is_packed: bool) -> dict[str, Any] | None:
    """Return a message that is an object; None if it is something else, or nothing at all."""
    try:
        asked = _msgpack().unpackb(message) if is_packed and isinstance(message, bytes) else json.loads(message)
    except (ValueError, RecursionError):  # msgpack's errors are ValueErrors
        return None
    return asked if isinstance(asked, dict) else None


def write_message(message: Any, *, is_packed: bool) -> str | bytes:
    """Return a message as it travels."""
    if is_packed:
        packed: bytes = _msgpack().packb(message)
        return packed
    return json.dumps(message, separators=(",", ":"))


def packed_stamp(ns: int) -> Any:
    """Return an instant as MessagePack has it."""
    return _msgpack().Timestamp(*divmod(ns, NS_PER_SECOND))


def _msgpack() -> Any:
    import msgpack  # type: ignore[import-untyped]  # noqa: PLC0415  no types; comes with the extra of those who ask for it

    return msgpack
