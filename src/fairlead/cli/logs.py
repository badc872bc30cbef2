"""`fairlead logs FILE`: the lines of a session's log, for people."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.console import existing_file, note

_ONLY = {"show_default": False}


def logs(
    file: Annotated[Path, typer.Argument(help="The newest file of a log; older ones beside it are read too.", metavar="FILE")],
    *,
    level: Annotated[str, typer.Option("--level", help="The least severe: debug, info, warning, error, critical.")] = "debug",
    component: Annotated[str | None, typer.Option("--component", help="Only lines of this component.", **_ONLY)] = None,
    event: Annotated[str | None, typer.Option("--event", help="Only this event.", **_ONLY)] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", "-s", help="Only lines of this strategy.", **_ONLY)] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only lines about this symbol.", **_ONLY)] = None,
    order: Annotated[str | None, typer.Option("--order", help="Only lines about the order with this id.", **_ONLY)] = None,
    trace: Annotated[str | None, typer.Option("--trace", help="Only lines with this trace id.", **_ONLY)] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Only the last so many; 0 for all.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the lines as they are, JSON.", metavar="")] = False,
) -> None:
    """Print the log of a session, oldest line first.

    Example: fairlead logs session.log --level warning -n 50
    """
    from fairlead.core.errors import ConfigurationError
    from fairlead.telemetry.console import ConsoleSink
    from fairlead.telemetry.logs import SEVERITY
    from fairlead.telemetry.reading import matches, read_log
    from fairlead.telemetry.record import Record, json_line

    least = SEVERITY.get(level.upper())
    if least is None:
        raise ConfigurationError.of("--level", f"be one of {', '.join(SEVERITY).lower()}", level)
    path = existing_file(file, "log file", "Name the file that the session's configuration gives.")
    wanted = {
        "component": component,
        "event": event,
        "strategy": strategy,
        "symbol": symbol,
        "order_id": order,
        "trace_id": trace,
    }
    unreadable = 0
    found: deque[Record] = deque(maxlen=limit or None)
    screen = ConsoleSink(sys.stdout, colors=sys.stdout.isatty())

    def show(record: Record) -> None:
        sys.stdout.write(json_line(record).decode() if json else f"{screen.text(record)}\n")

    for record in read_log(path):
        if record is None:
            unreadable += 1
        elif SEVERITY.get(record["level"], 0) >= least and matches(record, wanted):
            if limit:
                found.append(record)
            else:
                show(record)
    for record in found:
        show(record)
    if unreadable:
        note("[yellow]![/] {n} lines are none of a log and were left out; a crash tears at most one.", n=unreadable)
