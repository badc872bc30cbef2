"""`fairlead backtest CONFIG`: run a configuration over history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    OpenFlag,
    WorkspaceOption,
    environ,
    error,
    existing_file,
    note,
    open_in_browser,
    print_json,
    progress,
    workspace_of,
)

if TYPE_CHECKING:
    from fairlead.backtest.result import Result
    from fairlead.config.wire import WiredSession

ConfigArgument = Annotated[
    Path, typer.Argument(help="YAML or JSON file.", metavar="CONFIG", show_default=False, readable=False)
]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", "-p", help="Use this section of the file's profiles.", metavar="NAME", show_default=False),
]
OverrideOption = Annotated[
    list[str] | None,
    typer.Option("--override", "-o", help="Set a value of the file; may be repeated.", metavar="KEY=VALUE", show_default=False),
]


def backtest(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    open_report: OpenFlag = False,
    timed: Annotated[
        bool, typer.Option("--profile-stages", help="Time the stages of the loop (diagnostics.json).", metavar="")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep intents too, each event in its order (events.parquet).", metavar="")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Run a configuration over history and write its run directory.

    Example: fairlead backtest configs/environments/backtest.yaml -o seed=7
    """
    session = load_session(config, profile, [*(override or ()), *(("record=true",) if record else ())], workspace)
    result, folder = run_and_write(session, quiet=json, timed=timed, command=f"fairlead backtest {config.as_posix()}")
    show(result, folder, json=json, open_report=open_report)
    fail_if_stopped(result)


def load_session(config: Path, profile: str | None, override: list[str] | None, workspace: Path | None) -> WiredSession:
    """Load and wire a configuration."""
    from fairlead.config.loading import load_settings
    from fairlead.config.wire import wire

    existing_file(config, "configuration file", "Make some to start from with: fairlead init DIR")
    loaded = load_settings(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    chosen = workspace if workspace is not None else loaded.settings.workspace
    return wire(loaded, environ(), workspace_of(chosen))


def run_and_write(session: WiredSession, *, quiet: bool, command: str, timed: bool = False) -> tuple[Result, Path]:
    """Run a wired session and write its run directory; return the result and the directory."""
    from fairlead.backtest.library import free_run_id
    from fairlead.backtest.run import run_backtest, run_id
    from fairlead.backtest.rundir import write_run
    from fairlead.engine.clock import WallClock
    from fairlead.engine.session import prepare_features

    now = WallClock().now()
    name = free_run_id(session.workspace, run_id(now, session.title, session.loaded.hash))
    plan = session.plan(name, profile=timed)
    with progress("features", session.source.whole().expected_rows, quiet=quiet) as tell:
        prepare_features(plan, tell)
    with progress("backtest", session.source.expected_rows, quiet=quiet) as tell:
        result = run_backtest(
            plan,
            title=session.title,
            config=session.loaded.effective,
            created_at=now,
            hashed=session.loaded.hash,
            command=command,
            progress=tell,
        )
    wanted = session.loaded.settings.report
    with progress("report", quiet=quiet):
        return result, write_run(result, session.workspace, report=wanted.html, plots=wanted.plots)


def show(result: Result, folder: Path, *, json: bool, open_report: bool) -> None:
    """Print a run that was just written, and open its report if that was asked for."""
    report = folder / "report.html"
    written = report.is_file()
    if json:
        print_json({**result.summary(), "path": str(folder), "report": str(report) if written else None})
    else:
        from fairlead.cli.summary import print_summary

        print_summary(result, folder)
    if open_report and written:
        open_in_browser(report)
    elif open_report:
        note("[yellow]![/] there is no report to open: the configuration says report.html: false.")


def fail_if_stopped(result: Result) -> None:
    """Name each strategy that failed on standard error and exit with 1, if there is one."""
    if result.status != "stopped":
        return
    for outcome in result.record.strategies:
        if outcome.status == "stopped":
            error(f"strategy {outcome.name!r} was stopped: {outcome.error}")
    raise typer.Exit(EXIT_RUN_FAILED)
