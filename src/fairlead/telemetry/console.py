"""A record as a line for people: time, level, component, the sentence, and the rest as ``key=value``."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, TextIO

from structlog.dev import ConsoleRenderer

from fairlead.telemetry.record import CONTEXT, Record

_WIDTH: Final = 32
# What a stranger put into a name must not move the cursor of whoever reads.
_HARMLESS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


class ConsoleSink:
    """Writes to a terminal.

    Parameters
    ----------
    stream : text file
    colors : bool
    """

    def __init__(self, stream: TextIO, *, colors: bool) -> None:
        self._stream = stream
        self._render = ConsoleRenderer(
            colors=colors, pad_event_to=_WIDTH, timestamp_key="ts", event_key="message", sort_keys=False
        )

    def put(self, record: Record, line: bytes) -> None:  # noqa: ARG002  the signature of a sink
        """Write a record; a stream that is gone is no reason to stop."""
        write_text(self._stream, f"{self.text(record)}\n")

    def text(self, record: Record) -> str:
        """Return a record as text."""
        shown: dict[str, Any] = {
            "ts": record["ts"][11:23],
            "level": record["level"].lower(),
            "logger": record["component"],
            "message": _line(record["message"] or record["event"]),
        }
        if record["message"]:
            shown["event"] = record["event"]
        shown |= {name: _line(record[name]) for name in CONTEXT if record[name] is not None}
        shown |= {_line(key): _line(value) for key, value in record["data"].items() if key not in shown}
        error = record["error"]
        if error is not None:
            shown["exception"] = (
                error["stack"].translate({**_HARMLESS, 10: "\n"}).rstrip() or f"{error['type']}: {error['message']}"
            )
        return str(self._render(None, shown["level"], shown))

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


def write_text(stream: TextIO, text: str) -> None:
    """Write `text` at once; a stream that is closed or full loses it."""
    with suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()


def _line(value: object) -> str:
    return str(value).translate(_HARMLESS)
