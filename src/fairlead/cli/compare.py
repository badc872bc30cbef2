"""`fairlead compare A B`: two runs, order by order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlead.cli.console import EXIT_RUN_FAILED, JsonFlag, WorkspaceOption, print_json, print_table, say, workspace_of

if TYPE_CHECKING:
    from fairlead.backtest.comparison import Comparison, OrderDifference
    from fairlead.backtest.result import Result

_HELP = "Run id or its beginning, 'latest', a title, or a run directory."


def compare(
    a: Annotated[str, typer.Argument(help=_HELP, metavar="A", show_default=False)],
    b: Annotated[str, typer.Argument(help=_HELP, metavar="B", show_default=False)],
    *,
    price_tolerance: Annotated[
        float, typer.Option("--price-tolerance", help="For prices, commission and equity, as a fraction.", min=0)
    ] = 1e-9,
    size_tolerance: Annotated[float, typer.Option("--size-tolerance", help="For quantities, as a fraction.", min=0)] = 1e-9,
    time_tolerance: Annotated[
        float, typer.Option("--time-tolerance", help="For instants, in seconds; decisions this near are matched.", min=0)
    ] = 0.0,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many differences to print.", min=0)] = 20,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Write a picture of both equity curves.", metavar="FILE.png", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Compare two runs order by order; exit 0 if they are equal, 1 if they are not.

    Example: fairlead compare bt_20240102 latest --time-tolerance 60
    """
    from fairlead.backtest.comparison import Tolerances, compare_runs
    from fairlead.backtest.library import find_run
    from fairlead.core.errors import ConfigurationError

    if plot is not None and plot.suffix.lower() != ".png":
        raise ConfigurationError.of("--plot", "end in .png", str(plot))
    place = workspace_of(workspace)
    first, second = find_run(place, a), find_run(place, b)
    tolerances = Tolerances(price=price_tolerance, size=size_tolerance, time_s=time_tolerance)
    found = compare_runs(first.record, second.record, tolerances)
    if plot is not None:
        _plot(first, second, plot)
    if json:
        picture = None if plot is None else str(plot)
        print_json({"a": first.run_id, "b": second.run_id, **found.to_dict(), "plot": picture})
    else:
        _tell(first, second, found, limit)
        if plot is not None:
            say("  [dim]picture[/]  {path}", path=plot)
    if not found.equal:
        raise typer.Exit(EXIT_RUN_FAILED)


def _tell(first: Result, second: Result, found: Comparison, limit: int) -> None:
    say("[dim]A[/]  {title}  [dim]{run}[/]", title=first.info.title, run=first.run_id)
    say("[dim]B[/]  {title}  [dim]{run}[/]\n", title=second.info.title, run=second.run_id)
    for name, one, other in (
        ("strategies", _strategies(first), _strategies(second)),
        ("data", _data(first), _data(second)),
    ):
        if one != other:
            say("[yellow]![/] {name}: {one} against {other}", name=name, one=one, other=other)
    counts = found.counts
    rows = [
        ("Orders", f"{found.orders[0]:,}", f"{found.orders[1]:,}"),
        ("Fills", f"{found.fills[0]:,}", f"{found.fills[1]:,}"),
        ("Only here", f"{counts['missing']:,}", f"{counts['extra']:,}"),
        ("Final equity", f"{found.final_equity[0]:,.2f}", f"{found.final_equity[1]:,.2f}"),
        ("Digest", found.digests[0][:16], found.digests[1][:16]),
    ]
    print_table("", ("", "A", "B"), rows, right=("A", "B"))
    say()
    if found.equal:
        say("[green]equal[/] {matched} orders", matched=f"{found.matched:,}")
        return
    aspects = ", ".join(
        f"{counts[aspect]:,} in {aspect}" for aspect in ("terms", "size", "price", "timing", "status", "cost") if counts[aspect]
    )
    say(
        "[bold red]different[/] {missing} missing, {extra} extra, {differs} of {matched} matched orders differ{aspects}",
        missing=f"{counts['missing']:,}",
        extra=f"{counts['extra']:,}",
        differs=f"{counts['differs']:,}",
        matched=f"{found.matched:,}",
        aspects=f" ({aspects})" if aspects else "",
    )
    if found.equity_differs_ns is not None:
        _tell_equity(found.equity_difference, found.equity_differs_ns)
    if limit and found.differences:
        say()
        _print_differences(found.differences[:limit])
        rest = len(found.differences) - limit
        if rest > 0:
            say("... and {rest} more; --json lists them all", rest=f"{rest:,}")


def _tell_equity(largest: float, since_ns: int) -> None:
    from fairlead.core.time import format_utc

    say("  Equity is up to {gap} apart, from {when} on.", gap=f"{largest:,.2f}", when=format_utc(since_ns))


def _print_differences(differences: list[OrderDifference]) -> None:
    from fairlead.core.time import format_utc

    names = {"missing": "only A", "extra": "only B", "differs": "differs"}
    rows = [
        (
            format_utc(d.decided_ns)[:19].replace("T", " "),
            d.strategy,
            f"{d.side} {d.quantity:,.10g} {d.symbol} {d.order_type}",
            names[d.kind],
            "\n".join(str(field) for field in d.fields),
        )
        for d in differences
    ]
    print_table("", ("Decided, UTC", "Strategy", "Order", "", "A | B"), rows, whole=("Decided, UTC", "Order"))


def _strategies(result: Result) -> str:
    return ", ".join(f"{s.name} {s.version}" for s in result.record.strategies)


def _data(result: Result) -> str:
    return f"{result.info.dataset} {result.info.dataset_hash[:12]}"


def _plot(first: Result, second: Result, path: Path) -> None:
    from fairlead.backtest.comparison_plot import comparison_figure
    from fairlead.backtest.plots import to_png
    from fairlead.contracts.files import atomic_write_bytes

    atomic_write_bytes(path, to_png(comparison_figure(first, second)))
