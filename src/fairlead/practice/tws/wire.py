"""Frames: four bytes of length, then fields of text, each ended by a zero byte."""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from typing import Final, NamedTuple

from fairlead.core.errors import ContractError

LARGEST: Final = 1 << 20
"""Bytes of a frame; what a client sends is a few hundred."""
_LENGTH: Final = struct.Struct(">I")
_GREETING: Final = b"API\0"
_RANGE: Final = re.compile(r"v(\d{2,4})(?:\.\.(\d{2,4}))?(?: .*)?")


class Versions(NamedTuple):
    """What a client says that it speaks."""

    lowest: int
    highest: int


def text_of(value: object) -> str:
    """Return a field as it is written: nothing for None, 1 and 0 for a truth, whole numbers without a fraction."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def frame(*fields: object) -> bytes:
    """Return a frame of fields."""
    body = "".join(f"{text_of(field)}\0" for field in fields).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Takes bytes as they come, and gives whole frames.

    The first frame of a client is its greeting, and comes after four bytes of its own.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def greeting(self) -> Versions | None:
        """Return what the client greets with; None while it has not come whole.

        Raises
        ------
        ContractError
            If it is no greeting.
        """
        head = bytes(self._bytes[: len(_GREETING)])
        if not _GREETING.startswith(head):
            raise ContractError.of("greeting", "begin with API and a zero byte", head)
        if len(head) < len(_GREETING):
            return None
        del self._bytes[: len(_GREETING)]
        body = self._body()
        if body is None:
            self._bytes[:0] = _GREETING
            return None
        found = _RANGE.fullmatch(body.decode(errors="replace"))
        if found is None:
            raise ContractError.of("greeting", "name versions such as v157..178", body[:40])
        lowest, highest = found.groups()
        return Versions(int(lowest), int(highest or lowest))

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._bytes += data

    def next(self) -> list[str] | None:
        """Return the fields of the next frame; None while there is none.

        Raises
        ------
        ContractError
            If the frame is too large, is not text, or does not end with a zero byte: nothing after it can be trusted.
        """
        body = self._body()
        if body is None:
            return None
        try:
            fields = body.decode().split("\0")
        except UnicodeDecodeError as exc:
            raise ContractError.of("frame", "be text in UTF-8", body[:40]) from exc
        if fields.pop():
            raise ContractError.of("frame", "end with a zero byte", body[-40:])
        return fields

    def _body(self) -> bytes | None:
        if len(self._bytes) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._bytes)
        if not 0 < length <= LARGEST:
            raise ContractError.of("frame", f"have 1 to {LARGEST} bytes", length)
        if len(self._bytes) < _LENGTH.size + length:
            return None
        body = bytes(self._bytes[_LENGTH.size : _LENGTH.size + length])
        del self._bytes[: _LENGTH.size + length]
        return body
