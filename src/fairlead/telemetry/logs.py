"""Logs: one JSON object a line for machines, one readable line for people, and no secret in either (domain rule 16.4).

Nothing here is global: a session opens its `Logs`, hands each component a `Log` of its own, and closes them at its end. Time is
the session's: a replayed session writes the lines, to the byte, that it wrote the first time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal, Protocol, Self, TextIO, get_args

from structlog import BoundLoggerBase
from structlog.typing import Processor

from fairlead.core.errors import ConfigurationError
from fairlead.core.redaction import Secrets
from fairlead.telemetry.console import ConsoleSink, write_text
from fairlead.telemetry.record import Record, build_record, json_line
from fairlead.telemetry.rotation import RotatingFile

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Console = Literal["auto", "text", "json", "off"]
SEVERITY: Final[Mapping[str, int]] = MappingProxyType({name: 10 * i for i, name in enumerate(get_args(Level), start=1)})
_NO_SECRETS: Final = Secrets()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, and where to.

    Parameters
    ----------
    path : Path, optional
        The file of JSON lines; None for none.
    level : str
        The least severe that reaches the file.
    console : {'auto', 'text', 'json', 'off'}
        What standard error shows. ``auto``: text on a terminal, JSON elsewhere, as service managers collect it.
    console_level : str
        The least severe that it shows.
    max_bytes, backups : int
        Size at which the file steps aside, and how many older ones stay.
    """

    path: Path | None = None
    level: Level = "INFO"
    console: Console = "auto"
    console_level: Level = "INFO"
    max_bytes: int = 10_000_000
    backups: int = 5

    def __post_init__(self) -> None:
        for name, value, known in (
            ("level", self.level, get_args(Level)),
            ("console", self.console, get_args(Console)),
            ("console_level", self.console_level, get_args(Level)),
        ):
            if value not in known:
                raise ConfigurationError.of(f"logs.{name}", f"be one of {', '.join(known)}", value)
        if self.max_bytes < 1_000:
            raise ConfigurationError.of("logs.max_bytes", "be at least 1000", self.max_bytes)
        if not 0 <= self.backups <= 1_000:
            raise ConfigurationError.of("logs.backups", "be from 0 to 1000", self.backups)


class Sink(Protocol):
    """Where records go."""

    def put(self, record: Record, line: bytes) -> None:
        """Take a record, and the same as a line of JSON. Raises nothing."""

    def close(self) -> None:
        """Let go of what is open."""


class Log(BoundLoggerBase):
    """What a component logs with.

    ``bind(strategy="sma", symbol="AAPL")`` returns one whose lines all say so. An event is a name in snake_case that tools
    count and filter by; the message is a sentence for people. Of the other fields, those of domain rule 16.4 stand at the top
    of the line, ``error`` takes an exception, and what remains is ``data``.
    """

    _logger: _Outlet

    def debug(self, event: str, /, message: str = "", **fields: Any) -> None:
        """Log what helps only those who search for a mistake."""
        self._say("DEBUG", event, message, fields)

    def info(self, event: str, /, message: str = "", **fields: Any) -> None:
        """Log what happened, as it should."""
        self._say("INFO", event, message, fields)

    def warning(self, event: str, /, message: str = "", **fields: Any) -> None:
        """Log what someone should look at, though all goes on."""
        self._say("WARNING", event, message, fields)

    def error(self, event: str, /, message: str = "", **fields: Any) -> None:
        """Log what failed."""
        self._say("ERROR", event, message, fields)

    def exception(self, event: str, /, message: str = "", **fields: Any) -> None:
        """Log what failed, with the exception that is being handled."""
        self._say("ERROR", event, message, {"error": sys.exc_info()[1], **fields})

    def critical(self, event: str, /, message: str = "", **fields: Any) -> None:
        """Log what stops trading."""
        self._say("CRITICAL", event, message, fields)

    def _say(self, level: str, event: str, message: str, fields: dict[str, Any]) -> None:
        if SEVERITY[level] < self._logger.least:
            return
        try:
            # The name of the method is the level, as structlog's processors have it.
            (severity, record), _ = self._process_event(level, event, {"message": message, **fields})
            self._logger.put(severity, record)
        except Exception as exc:  # noqa: BLE001  a line that cannot be written must not stop what it tells of
            self._logger.failed(level, event, exc)


class _Deaf:
    """Takes nothing: no level reaches it."""

    least: Final = sys.maxsize


SILENT: Final = Log(_Deaf(), (), {})
"""Says nothing: for what has been told before."""


class Logs:
    """The logs of one session.

    Parameters
    ----------
    settings : LogSettings
    now_ns : callable
        The session's clock: nanoseconds since the epoch.
    secrets : Secrets, optional
        Values that no line may show, beside what the names of keys and the shapes of values give away.
    stream : text file, optional
        What "console" means; standard error if not given.

    Raises
    ------
    StorageError
        If the file cannot be opened.
    """

    def __init__(
        self,
        settings: LogSettings,
        now_ns: Callable[[], int],
        secrets: Secrets = _NO_SECRETS,
        stream: TextIO | None = None,
    ) -> None:
        sinks: list[tuple[int, Sink]] = []
        self._file: RotatingFile | None = None
        if settings.path is not None:
            self._file = RotatingFile(settings.path, max_bytes=settings.max_bytes, backups=settings.backups)
            sinks.append((SEVERITY[settings.level], _FileSink(self._file)))
        stream = sys.stderr if stream is None else stream
        kind = settings.console if settings.console != "auto" else "text" if stream.isatty() else "json"
        if kind != "off":
            sink = ConsoleSink(stream, colors=stream.isatty()) if kind == "text" else _JsonSink(stream)
            sinks.append((SEVERITY[settings.console_level], sink))
        self._outlet = _Outlet(sinks, now_ns, secrets)

    def logger(self, component: str, /, **context: Any) -> Log:
        """Return the logger of a component, with `context` in each of its lines."""
        processors: Sequence[Processor] = (self._outlet.processed,)
        return Log(self._outlet, processors, {"component": component, **context})

    @property
    def lost(self) -> int:
        """How many lines were not written: the disk refused them, or they could not be put into words."""
        return self._outlet.failures + (self._file.lost if self._file else 0)

    def close(self) -> None:
        """Close the file."""
        self._outlet.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Outlet:
    def __init__(self, sinks: Sequence[tuple[int, Sink]], now_ns: Callable[[], int], secrets: Secrets) -> None:
        self._sinks = sinks
        self._now_ns = now_ns
        self._secrets = secrets
        self.least = min((least for least, _ in sinks), default=sys.maxsize)
        self.failures = 0

    def processed(self, _logger: Any, level: str, fields: Any) -> tuple[tuple[int, Record], dict[str, Any]]:
        # As structlog calls it: the last of a chain returns the arguments of `put`.
        return (SEVERITY[level], build_record(self._now_ns(), level, fields, self._secrets)), {}

    def put(self, severity: int, record: Record) -> None:
        line = json_line(record)
        for least, sink in self._sinks:
            if severity >= least:
                sink.put(record, line)

    def failed(self, level: str, event: str, exc: Exception) -> None:
        self.failures += 1
        fields = {
            "component": "telemetry",
            "event": "log_line_failed",
            "failed_event": event,
            "failed_with": type(exc).__name__,
        }
        with suppress(Exception):
            self.put(SEVERITY[level], build_record(self._now_ns(), level, fields, self._secrets))

    def close(self) -> None:
        for _, sink in self._sinks:
            sink.close()


class _FileSink:
    def __init__(self, file: RotatingFile) -> None:
        self._file = file

    def put(self, record: Record, line: bytes) -> None:  # noqa: ARG002  the signature of a sink
        self._file.write(line)

    def close(self) -> None:
        self._file.close()


class _JsonSink:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def put(self, record: Record, line: bytes) -> None:  # noqa: ARG002  the signature of a sink
        write_text(self._stream, line.decode())

    def close(self) -> None:
        """Leave the stream open: it is not ours."""
