"""`fairlead replay RUN`: run a finished run again, watch it step by step, and see whether it is the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
    print_json,
    print_table,
    progress,
    say,
    workspace_of,
)
from fairlead.cli.runs import RunArgument

if TYPE_CHECKING:
    from fairlead.backtest.eventtext import EventDifference
    from fairlead.backtest.result import Result
    from fairlead.config.replaying import ReplaySession
    from fairlead.engine.recorder import Watch

_COMPARED = (
    ("Orders", "num_orders", "{:,}"),
    ("Fills", "num_fills", "{:,}"),
    ("Final equity", "final_cash", "{:,.2f}"),
    ("Total return", "total_return", "{:+.2%}"),
    ("Sharpe", "sharpe", "{:.2f}"),
    ("Max drawdown", "max_drawdown_pct", "{:.2f}%"),
)


def replay(
    run: RunArgument,
    *,
    step: Annotated[
        bool, typer.Option("--step", help="Stop at every instant at which something happened.", metavar="")
    ] = False,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", "-s", help="Another strategy on the same data.", metavar="NAME", show_default=False),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", help="Set a parameter of the strategy; may be repeated.", metavar="K=V", show_default=False),
    ] = None,
    speed: Annotated[
        str, typer.Option("--speed", help="max, or a multiple of real time such as 600x: events appear as time passes.")
    ] = "max",
    save: Annotated[bool, typer.Option("--save", help="Keep the replay as a run of its own.", metavar="")] = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Run a finished run again on the same data; exit 1 if it is not the same.

    With --strategy or --param another run is expected: it is made, and shown beside the original.

    Example: fairlead replay latest --step
    """
    from fairlead.backtest.library import run_folder
    from fairlead.backtest.rundir import read_directory
    from fairlead.cli.stepping import Quit, Stepper
    from fairlead.config.replaying import wire_replay
    from fairlead.core.errors import ConfigurationError

    if step and json:
        raise ConfigurationError.of("--step", "not be given with --json", step, "Leave one of them out.")
    place = workspace_of(workspace)
    folder = run_folder(place, run)
    original = read_directory(folder)
    session = wire_replay(original.info, place, strategy=strategy, params=param or (), speed=speed)
    shows = step or (speed != "max" and not json)
    watch = Stepper(asks=step) if shows else None
    try:
        again = _run_again(session, place, watch, save=save, quiet=json or shows)
    except Quit as exc:
        say("[dim]left at[/] {when}[dim]: not compared, because it was not run to its end.[/]", when=str(exc))
        return
    found = None if session.is_changed or original.digest == again.digest else _first_difference(folder, original, again)
    path = _written(again, place) if save else None
    if json:
        print_json(_facts(original, again, session, found, path))
    else:
        _tell(original, again, session, found)
        if path is not None:
            say("  [dim]folder[/]   {path}", path=path)
    if (original.digest != again.digest and not session.is_changed) or (session.is_changed and again.status == "stopped"):
        raise typer.Exit(EXIT_RUN_FAILED)


def _run_again(session: ReplaySession, place: Path, watch: Watch | None, *, save: bool, quiet: bool) -> Result:
    from fairlead.backtest.library import free_run_id
    from fairlead.backtest.run import run_backtest, run_id
    from fairlead.engine.clock import WallClock

    loaded, info = session.session.loaded, session.info
    now = WallClock().now()
    title = f"{info.title}, replayed"
    name = free_run_id(place, run_id(now, title, loaded.hash)) if save else info.run_id
    with progress("replay", session.session.source.expected_rows, quiet=quiet) as tell:
        return run_backtest(
            session.plan(name),
            title=title,
            config=loaded.effective,
            created_at=now,
            hashed=loaded.hash,
            command=f"fairlead replay {info.run_id}",
            mode="replay",
            progress=tell,
            watch=watch,
        )


def _first_difference(folder: Path, original: Result, again: Result) -> EventDifference | None:
    from dataclasses import replace

    from fairlead.backtest.eventrows import event_rows
    from fairlead.backtest.eventtext import EventWords, first_difference
    from fairlead.backtest.recordfile import read_events

    rows = read_events(folder)
    record = again.record
    if not any(row.get("stage") for row in rows):
        # The original kept no order of events; both are put into the order of their stamps.
        record = replace(record, events=None)
    words = [EventWords({o.order_id: o for o in result.record.orders}) for result in (original, again)]
    return first_difference(rows, event_rows(record), words[0], words[1])


def _written(again: Result, place: Path) -> Path:
    from fairlead.backtest.rundir import write_run

    return write_run(again, place)


def _facts(
    original: Result, again: Result, session: ReplaySession, found: EventDifference | None, path: Path | None
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "run_id": original.run_id,
        "changed": session.is_changed,
        "same": original.digest == again.digest,
        "digest": again.digest,
        "original_digest": original.digest,
        "code_changed": original.info.code_hash != again.info.code_hash,
        "synthetic": again.info.synthetic,
        "first_difference": None if found is None else asdict(found),
        "metrics": {"original": original.metrics, "replay": again.metrics},
        "path": None if path is None else str(path),
    }


def _tell(original: Result, again: Result, session: ReplaySession, found: EventDifference | None) -> None:
    orders, fills = f"{len(again.record.orders):,}", f"{len(again.record.fills):,}"
    if original.digest == again.digest:
        say("[green]the same[/] {orders} orders and {fills} fills", orders=orders, fills=fills)
        say("  [dim]digest[/]   {digest}", digest=again.digest[:16])
        return
    if session.is_changed:
        say("[bold]changed[/] as asked for; both on {dataset}\n", dataset=again.info.dataset)
    else:
        say("[bold red]not the same[/]")
        if original.info.code_hash != again.info.code_hash:
            say("  The code has changed since: the run was made with {old}.", old=_code(original))
        if found is not None:
            say("  First difference, event {n} at {when}:", n=f"{found.ordinal:,}", when=found.when)
            say("    original  {a}", a=found.a or "(nothing more)")
            say("    replay    {b}", b=found.b or "(nothing more)")
            if found.columns:
                say("    [dim]in[/]        {columns}", columns=", ".join(found.columns))
        say()
    rows = [
        (label, *("n/a" if (value := r.metrics[key]) is None else form.format(value) for r in (original, again)))
        for label, key, form in _COMPARED
    ]
    rows.append(("Digest", original.digest[:16], again.digest[:16]))
    print_table("", ("", "Original", "Replay"), rows, right=("Original", "Replay"))
    for outcome in again.record.strategies:
        if outcome.status == "stopped":
            say("[bold red]stopped[/] {name}: {error}", name=outcome.name, error=outcome.error)


def _code(original: Result) -> str:
    return f"{original.info.code_version}, code {original.info.code_hash[:12]}"
