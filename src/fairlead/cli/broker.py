"""`fairlead broker`: an operator at a broker, with or without a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.backtest import OverrideOption, ProfileOption
from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
    environ,
    existing_file,
    note,
    print_json,
    print_table,
    say,
)
from fairlead.cli.session import WhoOption, WhyOption, operator_name
from fairlead.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead.config.brokering import BrokerOperator
    from fairlead.control.emergency import EmergencyOutcome
    from fairlead.control.looking import Holdings
    from fairlead.control.operators import OperatorBook
    from fairlead.risk.monitors import HaltAction

app = typer.Typer(no_args_is_help=True)

_LIMIT_S: Final = 300.0
ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", help="YAML or JSON file whose execution is a broker.", metavar="CONFIG", show_default=False),
]
AloneFlag = Annotated[bool, typer.Option("--alone", help="Act even though a session of this title runs.", metavar="")]
LimitOption = Annotated[
    float, typer.Option("--limit", help="Give up after so many seconds.", metavar="SECONDS", min=1.0, max=86_400.0)
]


@app.callback()
def _group() -> None:
    """Look at an account at a broker, take orders back, close everything, verify that, and end the sessions' links."""


@app.command("account")
def account(
    config: ConfigOption,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    why: WhyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Show the account: what it is worth, what it can buy, and whether it takes orders.

    Example: fairlead broker account --config live.yaml
    """
    operator = _operator(config, profile, override, workspace)
    found = _seen(operator, "account", who, why)
    told = found.account._asdict()
    if json:
        print_json({"account": told})
        return
    say("[bold]{text}[/]", text=operator.permission.text)
    for name, value in told.items():
        say("  {name}: {value}", name=name.replace("_", " "), value=_text(value))


@app.command("positions")
def positions(
    config: ConfigOption,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    why: WhyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """List what the account holds, as the broker says.

    Example: fairlead broker positions --config live.yaml
    """
    found = _seen(_operator(config, profile, override, workspace), "positions", who, why)
    if json:
        print_json({"account_id": found.account.account_id, "positions": [one._asdict() for one in found.positions]})
    elif not found.positions:
        say("{account} holds nothing.", account=found.account.account_id)
    else:
        rows = [(one.symbol, f"{one.quantity:,.12g}", f"{one.average_price:,.4f}") for one in found.positions]
        print_table(found.account.account_id, ("Symbol", "Units", "Average price"), rows, right=("Units", "Average price"))


@app.command("orders")
def orders(
    config: ConfigOption,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    why: WhyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """List the orders that can still fill, also those of others.

    Example: fairlead broker orders --config live.yaml
    """
    found = _seen(_operator(config, profile, override, workspace), "orders", who, why)
    if json:
        print_json({"account_id": found.account.account_id, "orders": [one._asdict() for one in found.orders]})
    elif not found.orders:
        say("No order works in {account}.", account=found.account.account_id)
    else:
        columns = ("Order", "Symbol", "Side", "Type", "Units", "Filled", "Limit", "Stop", "Status")
        rows = [
            (
                one.reference or f"{one.broker_id} (of others)",
                *(one.symbol, one.side, one.order_type, f"{one.quantity:,.12g}", f"{one.filled:,.12g}"),
                *(_text(one.limit_price), _text(one.stop_price), one.status),
            )
            for one in found.orders
        ]
        print_table(found.account.account_id, columns, rows, right=("Units", "Filled", "Limit", "Stop"), whole=("Order",))


@app.command("cancel-all")
def cancel_all(
    config: ConfigOption,
    *,
    why: WhyOption = "",
    alone: AloneFlag = False,
    limit_s: LimitOption = _LIMIT_S,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Take back every order, those that protect positions too, and wait until the broker says that all have ended.

    Example: fairlead broker cancel-all --config live.yaml --why "moving to another server"
    """
    from fairlead.risk.monitors import HaltAction

    name = operator_name(who)
    _reason(why)
    operator = _operator(config, profile, override, workspace)
    if not alone and (running := operator.running()):
        remedy = f"Halt it instead (fairlead session halt {running[0].name}), or give --alone if it does not answer"
        text = f"session {running[0].name} runs, and its strategies would send again. {remedy}."
        operator.book(name, why).note("cancel-all", f"refused: {text}")
        raise ConfigurationError(text)
    _carry_out(operator, HaltAction.HALT_AND_INVESTIGATE, "cancel-all", name, why, limit_s, json=json)


@app.command("flatten")
def flatten(
    config: ConfigOption,
    *,
    why: WhyOption = "",
    halt: Annotated[
        bool,
        typer.Option(
            "--halt", help="Also trip the title's manual kill switch: sessions take no risk before a re-arm.", metavar=""
        ),
    ] = False,
    alone: AloneFlag = False,
    limit_s: LimitOption = _LIMIT_S,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Take back every order, close every position, and verify that.

    A session of this title that runs does it itself, as fairlead session flatten (or halt --flatten) asks it to.

    Example: fairlead broker flatten --config live.yaml --why "the session does not answer"
    """
    from fairlead.risk.monitors import HaltAction

    name = operator_name(who)
    _reason(why)
    operator = _operator(config, profile, override, workspace)
    if not alone and (running := operator.running()):
        for place in running:
            command, args = ("halt", {"flatten": True}) if halt else ("flatten", {})
            _ask_session(operator, place.folder, "flatten", command, args, name, why, json=json)
        return
    if halt and not (alone and operator.running()):
        tripped = operator.latch(name, why)
        operator.book(name, why).note("halt", "latched" if tripped else "latched before")
    _carry_out(operator, HaltAction.HALT_AND_FLATTEN, "flatten", name, why, limit_s, json=json)


@app.command("verify")
def verify(
    config: ConfigOption,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    why: WhyOption = "",
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Say whether the account is flat: no positions, no open orders; and what it is worth. Exit code 1 if it is not.

    Example: fairlead broker verify --config live.yaml
    """
    from fairlead.core.time import format_utc

    operator = _operator(config, profile, override, workspace)
    name = operator_name(who)
    book = operator.book(name, why)
    found = _look(operator)
    now = found.account
    before = book.first_nav_today(now.account_id)
    change = None if before is None else now.nav - before[1]
    told = {
        "is_flat": found.is_flat,
        "positions": len(found.positions),
        "orders": len(found.orders),
        "account": now._asdict(),
        "change_today": change,
        "since": None if before is None else format_utc(before[0]),
    }
    _note(book, "verify", "flat" if found.is_flat else "not flat", told)
    if json:
        print_json(told)
    else:
        mark = "[green]flat[/]" if found.is_flat else "[bold red]not flat[/]"
        say(mark + " {account}: {positions} positions, {orders} open orders", account=now.account_id, **_counts(found))
        say("  worth {nav:} {currency}", nav=f"{now.nav:,.2f}", currency=now.currency)
        if before is None:
            say("  profit and loss today: not known, this is the first look at it")
        else:
            say("  profit and loss: {change} since {since}", change=f"{change:+,.2f}", since=told["since"])
    if not found.is_flat:
        raise typer.Exit(EXIT_RUN_FAILED)


@app.command("disconnect")
def disconnect(
    config: ConfigOption,
    *,
    why: WhyOption = "",
    lift: Annotated[bool, typer.Option("--lift", help="Let sessions of this title connect again.", metavar="")] = False,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    who: WhoOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """End the sessions of this title, and let none connect again before this is lifted. Positions and orders stay.

    Example: fairlead broker disconnect --config live.yaml --why "flat, to be investigated"
    """
    name = operator_name(who)
    _reason(why)
    operator = _operator(config, profile, override, workspace)
    links, book = operator.links, operator.book(name, why)
    if lift:
        outcome = "lifted" if links.lift() else "was not disconnected"
    else:
        # The mark first: what starts a session again must not find it gone and the way open.
        outcome = "disconnected" if links.end(who=name, why=why, ts_ns=operator.now_ns()) else "disconnected before"
    _note(book, "disconnect", outcome, {"mark": str(links.path)})
    stopped = []
    if not lift:
        for place in operator.running():
            _ask_session(operator, place.folder, "disconnect", "stop", {}, name, why, json=None)
            stopped.append(place.name)
    if json:
        print_json({"title": operator.title, "outcome": outcome, "stopped": stopped})
        return
    say("[green]ok[/] {title}: {outcome}", title=operator.title, outcome=outcome)
    for session in stopped:
        say("  session {session} was asked to stop", session=session)


def _operator(config: Path, profile: str | None, override: list[str] | None, workspace: Path | None) -> BrokerOperator:
    from fairlead.config.brokering import operator_of
    from fairlead.config.loading import load_settings
    from fairlead.core.time import to_ns
    from fairlead.engine.clock import WallClock

    existing_file(config, "configuration file", "Make some to start from with: fairlead init DIR")
    loaded = load_settings(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    clock = WallClock()
    return operator_of(loaded, environ(), lambda: to_ns(clock.now()), workspace)


def _reason(why: str) -> None:
    if not why.strip():
        raise ConfigurationError.of("--why", "say the reason", why, "It is journalled with your name.")


def _look(operator: BrokerOperator) -> Holdings:
    import asyncio

    from fairlead.control.looking import holdings, look

    return asyncio.run(look(operator.open(), operator.admit, holdings, attempt_s=operator.settings.link.attempt_s))


def _seen(operator: BrokerOperator, verb: str, who: str, why: str) -> Holdings:
    found = _look(operator)
    details = {"account": found.account._asdict(), **_counts(found)}
    _note(operator.book(operator_name(who), why), verb, "seen", details)
    return found


def _carry_out(
    operator: BrokerOperator, action: HaltAction, verb: str, who: str, why: str, limit_s: float, *, json: bool
) -> None:
    import asyncio
    import random
    import time

    book = operator.book(who, why)
    _note(book, verb, "begun")
    session = operator.emergency(
        action,
        monotonic=time.monotonic,
        uniform=random.SystemRandom().random,
        limit_s=limit_s,
        alert=lambda text: note("[bold yellow]![/] {text}", text=text),
    )
    outcome = asyncio.run(session.run())
    _note(book, verb, "done" if outcome.is_done else "not done", outcome.to_dict())
    if json:
        print_json(outcome.to_dict())
    else:
        _show(outcome, verb)
    if not outcome.is_done:
        raise typer.Exit(EXIT_RUN_FAILED)


def _show(outcome: EmergencyOutcome, verb: str) -> None:
    mark = "[green]ok[/]" if outcome.is_done else "[bold red]not done[/]"
    counts = f"{outcome.cancels} cancels, {outcome.orders} orders, {outcome.rejects} refused"
    say(mark + " {verb} in {seconds} s: {counts}", verb=verb, seconds=f"{outcome.seconds:.1f}", counts=counts)
    for phase, at in outcome.reached.items():
        say("  [dim]{phase}[/] after {at} s", phase=phase.lower(), at=f"{at:.1f}")
    if outcome.residual and not outcome.is_done:
        left = ", ".join(f"{symbol} {units:,.12g}" for symbol, units in outcome.residual.items())
        say("  still held: {left}", left=left)
    if outcome.working:
        say("  still working: {orders}", orders=", ".join(outcome.working))


def _ask_session(
    operator: BrokerOperator,
    folder: Path,
    verb: str,
    command: str,
    args: Mapping[str, Any],
    who: str,
    why: str,
    *,
    json: bool | None,
) -> None:
    """Let a session that runs do it, and write down that it was asked to; `json` of None prints nothing."""
    from fairlead.control import ControlClient, RefusedCommand

    book = operator.book(who, why)
    try:
        answer = ControlClient(folder).ask(command, who=who, why=why, args=args)
    except RefusedCommand as exc:
        _note(book, verb, f"session {folder.name} refused: {exc}")
        raise RefusedCommand(exc.code, f"{folder.name}: {exc} If it does not answer, act beside it: --alone.") from exc
    _note(book, verb, f"session {folder.name} was asked: {command}", {"answer": answer})
    if json:
        print_json({"session": folder.name, "command": command, "answer": answer})
    elif json is not None:
        say("[green]ok[/] session {name} does it itself: {command}", name=folder.name, command=command)
        say("  verify it: fairlead broker verify")


def _note(book: OperatorBook, verb: str, outcome: str, details: Mapping[str, Any] | None = None) -> None:
    book.note(verb, outcome, details)
    if book.unwritten:
        note("[bold yellow]![/] not journalled: {why}", why=book.unwritten)


def _counts(found: Holdings) -> dict[str, int]:
    return {"positions": len(found.positions), "orders": len(found.orders)}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value)
