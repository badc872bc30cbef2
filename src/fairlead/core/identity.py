"""Deterministic identifiers and the seeded streams of randomness (domain rules 1.6, 1.7, 4.2)."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np

from fairlead.core.errors import ContractError
from fairlead.core.time import NS_PER_SECOND, day_to_date

try:
    # Python's own: for a text as short as an order's name, OpenSSL takes longer to begin than to hash.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha1

_ORDER_NAME: Final = uuid.NAMESPACE_URL.bytes + b"order|"
# Of the digit that holds the variant, the two upper bits are fixed and the two lower ones kept.
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_DAY_SECONDS: Final = 86_400


def short_hash(*fields: str) -> str:
    """Return the first 16 hex digits of the SHA-1 of `fields` joined by ``|``.

    Raises
    ------
    ContractError
        If a field contains ``|``, which would make two different lists look alike.
    """
    text = "|".join(fields)
    if text.count("|") != len(fields) - 1:
        raise ContractError.of("identifier fields", "not contain '|'", fields)
    return _sixteen(text.encode())


def _sixteen(text: bytes) -> str:
    hashed: str = sha1(text).hexdigest()  # noqa: S324  an identifier, not a signature
    return hashed[:16]


def idempotency_key(run_id: str, strategy: str, version: str, symbol: str, side: str, group_id: str = "") -> str:
    """Return the key under which an order can be sent once and no more (domain rule 4.2)."""
    return short_hash(run_id, strategy, version, symbol, side, group_id)


def order_namer(run_id: str, strategy: str, version: str, symbol: str, side: str) -> Callable[[str], str]:
    """Return what gives `idempotency_key` for a group: for who names many orders of which the other fields are equal."""
    idempotency_key(run_id, strategy, version, symbol, side)  # says what is wrong with a field
    stem = f"{run_id}|{strategy}|{version}|{symbol}|{side}|".encode()

    def name(group_id: str) -> str:
        if "|" in group_id:
            return short_hash(run_id, strategy, version, symbol, side, group_id)
        return _sixteen(stem + group_id.encode())

    return name


def order_id(key: str) -> str:
    """Return the UUID of the order with this idempotency key."""
    # uuid5 by hand: the library's object costs four times as much, and a run makes one per order.
    digest = sha1(_ORDER_NAME + key.encode()).hexdigest()  # noqa: S324  as RFC 9562 asks
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"


def group_id(symbol: str, ts_ns: int, ordinal: int = 0) -> str:
    """Return ``{SYMBOL}_{UTC stamp}``, with an ordinal if one instant has several.

    Orders that may coexist or re-enter need a group of their own, or their idempotency keys would be equal.
    """
    second = ts_ns // NS_PER_SECOND
    stem = f"{symbol}_{_date_text(second // _DAY_SECONDS)}_{_time_text(second % _DAY_SECONDS)}"
    return f"{stem}_{ordinal}" if ordinal else stem


@lru_cache(maxsize=1 << 12)
def _date_text(day: int) -> str:
    return day_to_date(day).strftime("%Y%m%d")


@lru_cache(maxsize=1 << 12)
def _time_text(second: int) -> str:
    minute, second = divmod(second, 60)
    return f"{minute // 60:02}{minute % 60:02}{second:02}"


def slug(text: str) -> str:
    """Return `text` in lower case with everything but letters and digits turned into single underscores."""
    return "_".join("".join(c if c.isalnum() else " " for c in text.lower()).split()) or "run"


def random_stream(root_seed: int, component: str) -> np.random.Generator:
    """Return the generator of one component; the same root and name give the same stream."""
    sequence = np.random.SeedSequence([root_seed, zlib.crc32(component.encode())])
    return np.random.Generator(np.random.PCG64(sequence))
