"""`fairlead paper CONFIG`: run a configuration on paper, against a feed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlead.cli.backtest import ConfigArgument, OverrideOption, ProfileOption, fail_if_stopped, show
from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    OpenFlag,
    WorkspaceOption,
    environ,
    error,
    existing_file,
    note,
    progress,
    say,
    workspace_of,
)
from fairlead.cli.signals import asked_to_stop

if TYPE_CHECKING:
    from fairlead.core.errors import FairleadError


def paper(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Start another session, and leave one that was interrupted as it is.", metavar="")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            help="Serve /metrics, /health and /ready here, on this machine; 0 takes a free port.",
            metavar="PORT",
            min=0,
            max=65_535,
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    open_report: OpenFlag = False,
    json: JsonFlag = False,
) -> None:
    """Run a configuration on paper: a live feed, or stored bars that are played again, and the simulated venue.

    Operate it while it runs: fairlead session status. Ctrl-C and SIGTERM stop it as fairlead session stop does.
    After a crash the same command goes on with the session where it was.

    Example: fairlead paper configs/environments/backtest.yaml -o mode=paper -o data.type=replay -o clock.speed=max
    """
    from fairlead.backtest.library import free_run_id
    from fairlead.backtest.rundir import write_run
    from fairlead.config.loading import load_settings
    from fairlead.config.papering import wire_paper
    from fairlead.core.time import format_utc, to_ns
    from fairlead.engine.clock import WallClock

    existing_file(config, "configuration file", "Make some to start from with: fairlead init DIR")
    loaded = load_settings(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    chosen: Path | None = workspace if workspace is not None else loaded.settings.workspace
    clock = WallClock()
    session = wire_paper(loaded, environ(), lambda: to_ns(clock.now()), workspace_of(chosen))
    before = None if anew else session.interrupted()
    now = clock.now() if before is None else before.began
    run_id = free_run_id(session.workspace, session.run_id(now)) if before is None else before.run_id
    if not json:
        say("[bold]paper[/] {run} [dim]in[/] {folder}", run=run_id, folder=session.folder(run_id))
    if before is not None:
        note("  [dim]goes on where it was interrupted,[/] {at}", at=format_utc(before.last_ns))
    failures: list[FairleadError] = []
    with asked_to_stop() as stop_asked:
        with progress("paper", session.facts.expected_rows or None, quiet=json) as tell:
            result = session.run(
                run_id,
                now=now,
                now_ns=lambda: to_ns(clock.now()),
                command=f"fairlead paper {config.as_posix()}",
                progress=tell,
                metrics_port=metrics_port,
                serving=lambda url: note("  [dim]metrics[/] {url}", url=f"{url}/metrics"),
                stop_asked=stop_asked,
                failed=failures.append,
                before=before,
            )
        wanted = loaded.settings.report
        with progress("report", quiet=json):
            folder = write_run(result, session.workspace, report=wanted.html, plots=wanted.plots)
            session.finish(run_id, to_ns(clock.now()))
    show(result, folder, json=json, open_report=open_report)
    for failure in failures:
        error(str(failure))
    fail_if_stopped(result)
    if failures:
        raise typer.Exit(EXIT_RUN_FAILED)
