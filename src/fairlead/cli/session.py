"""`fairlead session`: operate a session while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fairlead.cli.console import JsonFlag, WorkspaceOption, print_json, print_table, say, workspace_of
from fairlead.core.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True)

SessionArgument = Annotated[
    str,
    typer.Argument(help="Session id or its beginning. Default: the one that runs.", metavar="[SESSION]", show_default=False),
]
WhyOption = Annotated[
    str, typer.Option("--why", "-y", help="The reason; it is journalled.", metavar="TEXT", show_default=False)
]
WhoOption = Annotated[
    str, typer.Option("--who", help="The operator. Default: who is logged in.", metavar="NAME", show_default=False)
]
StrategyOption = Annotated[
    str, typer.Option("--strategy", "-s", help="Only this strategy.", metavar="NAME", show_default=False)
]
FlattenFlag = Annotated[bool, typer.Option("--flatten", help="Close every position first.", metavar="")]


@app.callback()
def _group() -> None:
    """Look at a running session, pause, stop, flatten, halt and re-arm it."""


@app.command("ls")
def ls(*, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """List the sessions that can be operated, and those that ended without saying so.

    Example: fairlead session ls
    """
    from fairlead.control import list_sessions

    folder = workspace_of(workspace)
    places = list_sessions(folder)
    if json:
        print_json([{"session": p.name, "running": p.is_running, "path": str(p.folder)} for p in places])
    elif not places:
        say("No session runs in {folder}.", folder=folder)
    else:
        rows = [(place.name, "running" if place.is_running else "interrupted") for place in places]
        print_table("", ("Session", "State"), rows, whole=("Session",))


@app.command("status")
def status(
    session: SessionArgument = "", *, who: WhoOption = "", workspace: WorkspaceOption = None, json: JsonFlag = False
) -> None:
    """Show how a running session stands.

    Example: fairlead session status
    """
    _ask("status", session, who, "", {}, workspace, json=json)


@app.command("pause")
def pause(
    session: SessionArgument = "",
    *,
    why: WhyOption = "",
    strategy: StrategyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Let strategies decide nothing more; their exits keep working.

    Example: fairlead session pause --why "earnings tonight"
    """
    _ask("pause", session, who, why, _of(strategy), workspace, json=json)


@app.command("resume")
def resume(
    session: SessionArgument = "",
    *,
    why: WhyOption = "",
    strategy: StrategyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Let paused strategies decide again; a halt stays.

    Example: fairlead session resume --why "earnings are out"
    """
    _ask("resume", session, who, why, _of(strategy), workspace, json=json)


@app.command("stop")
def stop(
    session: SessionArgument = "",
    *,
    why: WhyOption = "",
    flatten: FlattenFlag = False,
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """End a session; its positions stay, unless --flatten closes them first.

    Example: fairlead session stop --flatten --why "end of the trial"
    """
    _ask("stop", session, who, why, {"flatten": flatten}, workspace, json=json)


@app.command("flatten")
def flatten(
    session: SessionArgument = "",
    *,
    why: WhyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Cancel what works, close every position, and pause the strategies.

    Example: fairlead session flatten --why "prices look wrong"
    """
    _ask("flatten", session, who, why, {}, workspace, json=json)


@app.command("halt")
def halt(
    session: SessionArgument = "",
    *,
    why: WhyOption = "",
    flatten: FlattenFlag = False,
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Trip the manual kill switch; it stays, across restarts, until it is re-armed.

    Example: fairlead session halt --flatten --why "the feed went mad"
    """
    _ask("halt", session, who, why, {"flatten": flatten}, workspace, json=json)


@app.command("rearm")
def rearm(
    session: SessionArgument = "",
    *,
    why: WhyOption = "",
    strategy: StrategyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Lift a halt, once its lock has run out and the books agree with the broker's.

    Example: fairlead session rearm --why "feed replaced and checked"
    """
    _ask("rearm", session, who, why, _of(strategy), workspace, json=json)


@app.command("set-capital")
def set_capital(
    strategy: Annotated[str, typer.Argument(help="Whose.", metavar="STRATEGY", show_default=False)],
    amount: Annotated[float, typer.Argument(help="In currency.", metavar="AMOUNT", show_default=False)],
    session: SessionArgument = "",
    *,
    why: WhyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Give a strategy another capital while it runs.

    Example: fairlead session set-capital momentum 25000 --why "second week"
    """
    _ask("set_capital", session, who, why, {"strategy": strategy, "amount": amount}, workspace, json=json)


def _of(strategy: str) -> dict[str, Any]:
    return {"strategy": strategy} if strategy else {}


def _ask(
    command: str, session: str, who: str, why: str, args: Mapping[str, Any], workspace: Path | None, *, json: bool
) -> None:
    from fairlead.control import ControlClient, RefusedCommand, find_session

    if command != "status" and not why.strip():
        raise ConfigurationError.of("--why", "say the reason", why, "It is journalled with your name.")
    place = find_session(workspace_of(workspace), session)
    try:
        answer = ControlClient(place.folder).ask(command, who=operator_name(who), why=why, args=args)
    except RefusedCommand as exc:
        if exc.code in {"args", "reason", "command", "malformed"}:
            raise ConfigurationError(str(exc)) from exc
        raise RefusedCommand(exc.code, f"{place.name}: {exc}") from exc
    if json:
        print_json({"session": place.name, "command": command, "answer": answer})
        return
    say("[green]ok[/] {command} [dim]{name}[/]", command=command, name=place.name)
    for key, value in sorted(answer.items()):
        say("  {key}: {value}", key=key.replace("_", " "), value=_shown(value))


def operator_name(who: str = "") -> str:
    """Return who asks: the one who is named, else who is logged in.

    Raises
    ------
    ConfigurationError
        If nobody is.
    """
    import getpass

    if who:
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as exc:
        raise ConfigurationError.of("--who", "name the operator", "", "Nobody is known to be logged in.") from exc


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in sorted(value.items())) or "none"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
