"""`fairlead orders`: orders as canonical rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
    existing_file,
    print_json,
    print_table,
    say,
    workspace_of,
)
from fairlead.cli.order_replay import replay
from fairlead.cli.runs import RunArgument

if TYPE_CHECKING:
    from fairlead.backtest.canonical import LeftOut

app = typer.Typer(no_args_is_help=True)

_SHOWN: Final = 20


@app.callback()
def _group() -> None:
    """Export, check and replay orders as canonical rows."""


@app.command("export")
def export(
    run: RunArgument,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-O",
            help="File to append to. Default: orders/<run id>.csv in the workspace.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            "--events", help="File to append what became of them to, as order_events.csv.", metavar="FILE", show_default=False
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Write the orders of a run as canonical rows; exit 1 if the columns cannot say all of one.

    Each order is written once: a second export adds nothing.

    Example: fairlead orders export latest
    """
    from fairlead.backtest.canonical import canonical_orders
    from fairlead.backtest.library import find_run
    from fairlead.contracts.orders import OrderEventWriter, OrderWriter

    folder = workspace_of(workspace)
    result = find_run(folder, run)
    found = canonical_orders(result)
    path = output or folder / "orders" / f"{result.run_id}.csv"
    OrderWriter(path).extend(found.orders)
    if events is not None:
        OrderEventWriter(events).extend(found.events)
    if json:
        print_json(
            {
                "run_id": result.run_id,
                "path": str(path),
                "orders": len(found.orders),
                "events_path": None if events is None else str(events),
                "events": len(found.events) if events is not None else 0,
                "unsent": [item._asdict() for item in found.unsent],
                "implied": [item._asdict() for item in found.implied],
                "refused": [item._asdict() for item in found.refused],
            }
        )
    else:
        say("{count} orders of {run}\n  in {path}", count=f"{len(found.orders):,}", run=result.run_id, path=path)
        if events is not None:
            say("  {count} events in {path}", count=f"{len(found.events):,}", path=events)
        if found.unsent:
            _print_reasons("Never left", found.unsent)
        if found.implied:
            _print_reasons("Left out: the rules of a replay do it", found.implied)
        if found.refused:
            _print_reasons("Left out: the columns cannot say all of them", found.refused)
    if found.refused:
        raise typer.Exit(EXIT_RUN_FAILED)


@app.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(help="CSV file of orders.", metavar="FILE", show_default=False, readable=False)],
    *,
    tick: Annotated[
        float | None,
        typer.Option("--tick", help="Price grid. Default: that of US equities.", metavar="SIZE", show_default=False),
    ] = None,
    lot: Annotated[float, typer.Option("--lot", help="Quantity grid.", metavar="SIZE")] = 1.0,
    json: JsonFlag = False,
) -> None:
    """Check every row of an order file; exit 1 if one breaks a rule.

    Example: fairlead orders validate orders.csv
    """
    from fairlead.contracts.orders import check_orders
    from fairlead.core.instruments import Instrument

    grid = Instrument(symbol="ANY", tick_size=tick, lot_step=lot)
    path = existing_file(file, "order file", "Write one: fairlead orders export latest")
    found = check_orders(path, default=grid)
    if json:
        print_json(
            {
                "path": str(path),
                "passed": not found.problems,
                "orders": len(found.orders),
                "problems": [problem._asdict() for problem in found.problems],
                "torn": found.torn,
                "ignored_columns": list(found.ignored),
            }
        )
    else:
        _print_counts(found.orders)
        if found.problems:
            rows = [(problem.line, problem.message) for problem in found.problems[:_SHOWN]]
            print_table("Rows that break a rule", ("Line", "Rule"), rows, right=("Line",))
            if len(found.problems) > _SHOWN:
                say(f"  ... and {len(found.problems) - _SHOWN:,} more; --json lists them all")
        if found.torn is not None:
            say("[yellow]![/] the last line is torn, and put aside: {text}", text=found.torn[:80])
        if found.ignored:
            say("[yellow]![/] columns that no order has: {names}", names=", ".join(found.ignored))
        word, style = ("failed", "bold red") if found.problems else ("passed", "green")
        say(f"[{style}]{word}[/] {len(found.orders):,} good rows, {len(found.problems):,} bad ones")
    if found.problems:
        raise typer.Exit(EXIT_RUN_FAILED)


app.command("replay")(replay)


def _print_counts(orders: Sequence[Any]) -> None:
    if not orders:
        return
    counts = Counter((order.strategy, order.symbol, order.side.value, order.order_type.value) for order in orders)
    rows = [(*what, f"{count:,}") for what, count in sorted(counts.items())]
    shown = rows[:_SHOWN]
    print_table("Orders", ("Strategy", "Symbol", "Side", "Type", "Orders"), shown, right=("Orders",))
    if len(rows) > _SHOWN:
        say(f"  ... and {len(rows) - _SHOWN:,} more kinds")
    say()


def _print_reasons(title: str, left_out: Sequence[LeftOut]) -> None:
    counts = Counter((item.symbol, item.reason) for item in left_out)
    rows = [(symbol, reason, f"{count:,}") for (symbol, reason), count in sorted(counts.items())]
    print_table(title, ("Symbol", "Why", "Orders"), rows[:_SHOWN], right=("Orders",))
    if len(rows) > _SHOWN:
        say(f"  ... and {len(rows) - _SHOWN:,} more reasons; --json lists them all")
