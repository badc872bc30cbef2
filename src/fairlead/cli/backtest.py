"""`fairlead backtest CONFIG`: run a configuration over history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlead.cli.console import EXIT_RUN_FAILED, JsonFlag, WorkspaceOption, environ, print_json, progress, stderr

if TYPE_CHECKING:
    from fairlead.backtest.result import Result
    from fairlead.config.wire import WiredSession

ConfigArgument = Annotated[Path, typer.Argument(help="YAML or JSON file.", show_default=False)]
ProfileOption = Annotated[str | None, typer.Option("--profile", "-p", help="A profile of the file.", show_default=False)]
OverrideOption = Annotated[
    list[str] | None, typer.Option("--override", "-o", help="a.b=value; may be repeated.", show_default=False)
]


def backtest(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    timed: Annotated[bool, typer.Option("--profile-stages", help="Time the stages of the loop.")] = False,
    json: JsonFlag = False,
) -> None:
    """Run a configuration over history and write its run directory.

    Example: fairlead backtest configs/environments/backtest.yaml -o strategies.0.capital=50000
    """
    session = load_session(config, profile, override, workspace)
    result, folder = run_and_write(session, quiet=json, timed=timed, command=f"fairlead backtest {config.as_posix()}")
    if json:
        print_json({**result.summary(), "path": str(folder), "report": str(folder / "report.html")})
    else:
        from fairlead.cli.summary import print_summary

        print_summary(result, folder)
    if open_report:
        typer.launch(str(folder / "report.html"))
    if result.status == "stopped":
        for outcome in result.record.strategies:
            if outcome.error:
                stderr().print(f"[bold red]error:[/] strategy {outcome.name!r} was stopped: {outcome.error}", markup=True)
        raise typer.Exit(EXIT_RUN_FAILED)


def load_session(config: Path, profile: str | None, override: list[str] | None, workspace: Path | None) -> WiredSession:
    """Load and wire a configuration."""
    from fairlead.config.loading import load_settings
    from fairlead.config.wire import wire

    loaded = load_settings(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    return wire(loaded, environ(), workspace)


def run_and_write(session: WiredSession, *, quiet: bool, command: str, timed: bool = False) -> tuple[Result, Path]:
    """Run a wired session and write its run directory; return the result and the directory."""
    from fairlead.backtest.library import free_run_id
    from fairlead.backtest.run import run_backtest, run_id
    from fairlead.backtest.rundir import write_run
    from fairlead.engine.clock import WallClock

    now = WallClock().now()
    name = free_run_id(session.workspace, run_id(now, session.title, session.loaded.hash))
    with progress("backtest", session.source.expected_rows, quiet=quiet) as tell:
        result = run_backtest(
            session.plan(name, profile=timed),
            title=session.title,
            config=session.loaded.effective,
            created_at=now,
            hashed=session.loaded.hash,
            command=command,
            progress=tell,
        )
    return result, write_run(result, session.workspace)
