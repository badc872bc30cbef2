"""What the verbs that run a session in real time have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fairlead.cli.backtest import fail_if_stopped, show
from fairlead.cli.console import EXIT_RUN_FAILED, error, note, progress, say
from fairlead.cli.signals import asked_to_stop

if TYPE_CHECKING:
    from fairlead.config.realtime import RealtimeSession
    from fairlead.core.errors import FairleadError
    from fairlead.engine.clock import WallClock

AnewFlag = Annotated[
    bool, typer.Option("--anew", help="Start another session, and leave one that was interrupted as it is.", metavar="")
]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        help="Serve /metrics, /health and /ready here, on this machine; 0 takes a free port.",
        metavar="PORT",
        min=0,
        max=65_535,
        show_default=False,
    ),
]


def play(
    session: RealtimeSession,
    clock: WallClock,
    command: str,
    *,
    anew: bool,
    metrics_port: int | None,
    open_report: bool,
    json: bool,
) -> None:
    """Run a session to its end, and show what came of it; one that was interrupted is gone on with."""
    from fairlead.backtest.library import free_run_id
    from fairlead.backtest.rundir import write_run
    from fairlead.core.time import format_utc, to_ns

    before = None if anew else session.interrupted()
    now = clock.now() if before is None else before.began
    run_id = free_run_id(session.workspace, session.run_id(now)) if before is None else before.run_id
    if not json:
        say("[bold]{mode}[/] {run} [dim]in[/] {folder}", mode=session.mode, run=run_id, folder=session.folder(run_id))
    if before is not None:
        note("  [dim]goes on where it was interrupted,[/] {at}", at=format_utc(before.last_ns))
    failures: list[FairleadError] = []
    with asked_to_stop() as stop_asked:
        with progress(session.mode, session.facts.expected_rows or None, quiet=json) as tell:
            result = session.run(
                run_id,
                now=now,
                now_ns=lambda: to_ns(clock.now()),
                command=command,
                progress=tell,
                metrics_port=metrics_port,
                serving=lambda url: note("  [dim]metrics[/] {url}", url=f"{url}/metrics"),
                stop_asked=stop_asked,
                failed=failures.append,
                before=before,
            )
        wanted = session.wired.loaded.settings.report
        with progress("report", quiet=json):
            folder = write_run(result, session.workspace, report=wanted.html, plots=wanted.plots)
            session.finish(run_id, to_ns(clock.now()))
    show(result, folder, json=json, open_report=open_report)
    for failure in failures:
        error(str(failure))
    fail_if_stopped(result)
    if failures:
        raise typer.Exit(EXIT_RUN_FAILED)
