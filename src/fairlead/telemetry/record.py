"""One line of the log: which fields it has, in which order, and how a value becomes one that JSON can hold (domain rule 16.4).

Nothing here raises: a value that cannot be written is written as far as it can.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import traceback
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final

from fairlead.core.errors import FairleadError
from fairlead.core.identity import slug
from fairlead.core.redaction import REDACTED, Secrets, is_secret
from fairlead.core.time import format_utc, to_ns

# What a line says about where it belongs; null where it belongs to none.
CONTEXT: Final = ("run_id", "strategy", "symbol", "order_id", "intent_id", "trace_id", "mode")
MAX_TEXT: Final = 4_000
MAX_STACK: Final = 16_000
_MAX_ITEMS: Final = 200
_MAX_DEPTH: Final = 6
_FRAMES: Final = 40
_SCAN: Final = 16
_HUGE: Final = 1e300
_LEFT_OUT: Final = "(more was left out)"
_TOO_DEEP: Final = "(too deep)"

Record = dict[str, Any]


def build_record(ts_ns: int, level: str, fields: Mapping[str, Any], secrets: Secrets) -> Record:
    """Return the line as a mapping in the order of its fields, with nothing in it that JSON or a reader must not have.

    Parameters
    ----------
    ts_ns : int
        Nanoseconds since the epoch, by the session's clock.
    level : str
        ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``.
    fields : mapping
        ``component``, ``event``, ``message``, what is in `CONTEXT`, ``error`` (an exception); all others become ``data``.
    secrets : Secrets
    """
    own = dict(fields)
    record: Record = {
        "ts": format_utc(ts_ns),
        "level": level,
        "component": _text(own.pop("component", ""), secrets, MAX_TEXT),
        "event": _event(own.pop("event", ""), secrets),
        "message": _text(own.pop("message", ""), secrets, MAX_TEXT),
    }
    for name in CONTEXT:
        value = own.pop(name, None)
        record[name] = None if value is None else _text(value, secrets, MAX_TEXT)
    error = own.pop("error", None)
    record["data"] = _Plain(secrets).mapping(own)
    record["error"] = None if error is None else _error(error, secrets)
    return record


def empty_record() -> Record:
    """Return a record that says nothing: every field that a line has, in its order."""
    return build_record(0, "", {}, Secrets())


def json_line(record: Record) -> bytes:
    """Return a record as one line of ASCII: no character in it is a line end to any reader."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _event(value: object, secrets: Secrets) -> str:
    text = _text(value, secrets, MAX_TEXT)
    snake = text.isascii() and text.replace("_", "a").isalnum() and text == text.lower()
    return text if snake else slug(text)


def _error(error: object, secrets: Secrets) -> Record:
    if not isinstance(error, BaseException):
        return {"type": type(error).__name__, "message": _text(error, secrets, MAX_TEXT), "stack": ""}
    try:
        stack = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-_FRAMES))
    except Exception as exc:  # noqa: BLE001  the exception's own text may be what fails
        stack = f"({type(exc).__name__} while the stack was written)"
    name = type(error).__name__
    if not isinstance(error, FairleadError) and type(error).__module__ != "builtins":
        name = f"{type(error).__module__}.{name}"
    return {"type": name, "message": _text(error, secrets, MAX_TEXT), "stack": _text(stack, secrets, MAX_STACK)}


def _text(value: object, secrets: Secrets, limit: int) -> str:
    try:
        text = str(value.value if isinstance(value, Enum) else value)
    except Exception as exc:  # noqa: BLE001  a value of others
        return f"({type(value).__name__}: {type(exc).__name__} when it was asked for its text)"
    # Hidden first, then cut: a secret that the cut divides would not be known any more.
    text = secrets.hide(text[: limit * _SCAN])
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text) - limit} more)"


class _Plain:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._left = _MAX_ITEMS

    def mapping(self, values: Mapping[Any, Any], path: tuple[str, ...] = (), depth: int = 0) -> Record:
        plain: Record = {}
        named = {_text(key, self._secrets, MAX_TEXT): value for key, value in values.items()}
        for key in sorted(named):
            if self._left <= 0:
                plain["..."] = _LEFT_OUT
                break
            plain[key] = self._value(named[key], (*path, key), depth + 1)
        return plain

    def _value(self, value: Any, path: tuple[str, ...], depth: int) -> Any:
        self._left -= 1
        if hasattr(value, "dtype") and callable(getattr(value, "tolist", None)):
            value = value.tolist() if value.size <= _MAX_ITEMS else f"(array of shape {value.shape})"
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, Mapping | list | tuple | AbstractSet):
            return self._nested(value, path, depth)
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if value is None or (isinstance(value, int | float) and abs(value) < _HUGE):
            return self._secrets.leaf(path, value)
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            value = format_utc(to_ns(value))
        return REDACTED if is_secret(path) else _text(value, self._secrets, MAX_TEXT)

    def _nested(self, value: Any, path: tuple[str, ...], depth: int) -> Any:
        if depth > _MAX_DEPTH:
            return _TOO_DEEP
        if isinstance(value, Mapping):
            return self.mapping(value, path, depth)
        plain: list[Any] = []
        for item in sorted(value, key=str) if isinstance(value, AbstractSet) else value:
            if self._left <= 0:
                plain.append(_LEFT_OUT)
                break
            plain.append(self._value(item, path, depth + 1))
        return plain
