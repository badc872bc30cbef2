"""`fairlead live CONFIG`: run a configuration at a broker, with real money or in rehearsal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.backtest import ConfigArgument, OverrideOption, ProfileOption
from fairlead.cli.console import JsonFlag, OpenFlag, WorkspaceOption, environ, existing_file, note, workspace_of
from fairlead.cli.sessions import AnewFlag, MetricsPortOption, play


def live(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    yes_live: Annotated[
        str | None,
        typer.Option(
            "--yes-live", help="The account's id, instead of typing it when asked.", metavar="ACCOUNT", show_default=False
        ),
    ] = None,
    anew: AnewFlag = False,
    metrics_port: MetricsPortOption = None,
    workspace: WorkspaceOption = None,
    open_report: OpenFlag = False,
    json: JsonFlag = False,
) -> None:
    """Run a configuration live: its orders go to a broker.

    Refused unless configuration, environment (TR_MODE=live), address, account and confirmation agree. Operate it while it
    runs: fairlead session status. After a crash the same command goes on with the session where it was. A practice server of
    this machine makes it a rehearsal: fairlead dev broker-server alpaca.

    Example: fairlead live live.yaml --yes-live 123456789
    """
    from fairlead.config.live import BrokerSettings
    from fairlead.config.livebroker import permitted
    from fairlead.config.loading import load_settings
    from fairlead.config.papering import wire_at_broker
    from fairlead.core.errors import ConfigurationError
    from fairlead.core.time import to_ns
    from fairlead.engine.clock import WallClock

    existing_file(config, "configuration file", "Make some to start from with: fairlead init DIR")
    loaded = load_settings(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    if loaded.settings.mode != "live":
        remedy = "Paper sessions are run with: fairlead paper CONFIG."
        raise loaded.problem(("mode",), ConfigurationError.of("mode", "be live here", loaded.settings.mode, remedy))
    clock = WallClock()
    execution = loaded.settings.execution
    account = execution.account if isinstance(execution, BrokerSettings) else None
    confirmed = yes_live if yes_live is not None or json else _typed(account)
    broker, permission, opened = permitted(loaded, environ(), lambda: to_ns(clock.now()), confirmed)
    note("  [bold]{text}[/]", text=permission.text)
    chosen: Path | None = workspace if workspace is not None else loaded.settings.workspace
    session = wire_at_broker(opened, environ(), lambda: to_ns(clock.now()), broker, workspace_of(chosen))
    command = f"fairlead live {config.as_posix()}"
    play(session, clock, command, anew=anew, metrics_port=metrics_port, open_report=open_report, json=json)


def _typed(account: str | None) -> str | None:
    """Ask for the account's id; nobody is asked where nobody can answer."""
    if account is None or not sys.stdin.isatty():
        return None
    return str(
        typer.prompt(f"Orders will go to account {account}. Type its id to go on", default="", show_default=False)
    ).strip()
