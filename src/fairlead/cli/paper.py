"""`fairlead paper CONFIG`: run a configuration on paper, against a feed."""

from __future__ import annotations

from pathlib import Path

from fairlead.cli.backtest import ConfigArgument, OverrideOption, ProfileOption
from fairlead.cli.console import (
    JsonFlag,
    OpenFlag,
    WorkspaceOption,
    environ,
    existing_file,
    note,
    workspace_of,
)
from fairlead.cli.sessions import AnewFlag, MetricsPortOption, play


def paper(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    anew: AnewFlag = False,
    metrics_port: MetricsPortOption = None,
    workspace: WorkspaceOption = None,
    open_report: OpenFlag = False,
    json: JsonFlag = False,
) -> None:
    """Run a configuration on paper: a live feed, or stored bars that are played again, and the simulated venue.

    With a broker as its execution, orders go to an account of that broker's paper trading.

    Operate it while it runs: fairlead session status. Ctrl-C and SIGTERM stop it as fairlead session stop does.
    After a crash the same command goes on with the session where it was.

    Example: fairlead paper configs/environments/backtest.yaml -o mode=paper -o data.type=replay -o clock.speed=max
    """
    from fairlead.config.live import BrokerSettings
    from fairlead.config.livebroker import permitted
    from fairlead.config.loading import load_settings
    from fairlead.config.papering import wire_at_broker, wire_paper
    from fairlead.core.time import to_ns
    from fairlead.engine.clock import WallClock

    existing_file(config, "configuration file", "Make some to start from with: fairlead init DIR")
    loaded = load_settings(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    chosen: Path | None = workspace if workspace is not None else loaded.settings.workspace
    clock = WallClock()

    def now_ns() -> int:
        return to_ns(clock.now())

    if loaded.settings.mode == "paper" and isinstance(loaded.settings.execution, BrokerSettings):
        broker, permission, opened = permitted(loaded, environ(), now_ns)
        note("  {text}", text=permission.text)
        session = wire_at_broker(opened, environ(), now_ns, broker, workspace_of(chosen))
    else:
        session = wire_paper(loaded, environ(), now_ns, workspace_of(chosen))
    told = f"fairlead paper {config.as_posix()}"
    play(session, clock, told, anew=anew, metrics_port=metrics_port, open_report=open_report, json=json)
