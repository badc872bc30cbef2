"""`fairlead doctor`: tell whether this machine, or an account at a broker, is fit to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlead.cli.backtest import OverrideOption, ProfileOption
from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
    environ,
    existing_file,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from fairlead.execution.brokers.inspection import Finding


def doctor(
    *,
    broker: Annotated[
        Path | None,
        typer.Option(
            "--broker",
            help="Check the account that this configuration trades in instead.",
            metavar="CONFIG",
            show_default=False,
        ),
    ] = None,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Check this machine, or an account at a broker, and say what to do where something is wrong.

    Tries Python, the libraries, the exchange calendar, the bundled prices and the workspace. With --broker: keys, address,
    account, clock, permissions and market data; no order is sent, and exit code 1 says that something failed.

    Example: fairlead doctor
    """
    from rich.text import Text

    if broker is not None:
        _account(broker, profile, override, workspace, json=json)
        return
    from fairlead.config.checkup import examine
    from fairlead.contracts.workspace import workspace_folder

    findings = examine(workspace_folder(environ(), workspace))
    wrong = [f for f in findings if not f.ok]
    if json:
        print_json([{"check": f.check, "ok": f.ok, "found": f.found, "remedy": f.remedy} for f in findings])
    else:
        marks = {True: Text("ok", "green"), False: Text("FAIL", "bold red")}
        _table([(marks[f.ok], f.check, f.found, f.remedy) for f in findings])
        if wrong:
            say("\n[bold red]{count} of {all}[/] checks failed.", count=len(wrong), all=len(findings))
        else:
            say("\n[green]All is well.[/] A first run: [bold]fairlead demo[/]")
    if wrong:
        raise typer.Exit(EXIT_RUN_FAILED)


def _account(config: Path, profile: str | None, override: list[str] | None, workspace: Path | None, *, json: bool) -> None:
    from rich.text import Text

    from fairlead.config.brokercheck import examine_broker
    from fairlead.config.loading import load_settings
    from fairlead.core.time import to_ns
    from fairlead.engine.clock import WallClock
    from fairlead.execution.brokers.inspection import Verdict

    existing_file(config, "configuration file", "Make some to start from with: fairlead init DIR")
    loaded = load_settings(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    clock = WallClock()
    findings: list[Finding] = examine_broker(loaded, environ(), lambda: to_ns(clock.now()), workspace)
    failed = sum(1 for f in findings if f.verdict is Verdict.FAILED)
    if json:
        print_json([f._asdict() for f in findings])
    else:
        marks = {
            Verdict.OK: Text("ok", "green"),
            Verdict.WARNING: Text("WARN", "bold yellow"),
            Verdict.FAILED: Text("FAIL", "bold red"),
            Verdict.UNKNOWN: Text("?", "dim"),
        }
        _table([(marks[f.verdict], f.check, f.found, f.remedy) for f in findings])
        if failed:
            say("\n[bold red]{count} of {all}[/] checks failed.", count=failed, all=len(findings))
        else:
            say("\nNothing failed. What is marked [dim]?[/] nobody has told.")
    if failed:
        raise typer.Exit(EXIT_RUN_FAILED)


def _table(rows: Sequence[tuple[Text, str, str, str]]) -> None:
    has_remedy = any(row[3] for row in rows)
    columns = ("", "Check", "Found", *(["What to do"] if has_remedy else []))
    print_table("", columns, [row if has_remedy else row[:3] for row in rows])
