"""`fairlead orders replay FILE --data PATH`: an order file over bars, by fixed rules and without a strategy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
    error,
    existing_file,
    note,
    print_json,
    print_table,
    say,
    workspace_of,
)

if TYPE_CHECKING:
    from fairlead.backtest.replay import ReplayResult, ReplaySettings
    from fairlead.contracts.orders import OrderFile

_SHOWN: Final = (
    ("Trades", "num_trades", "{:,}"),
    ("Orders filled", "fill_rate", "{:.1%}"),
    ("Net profit", "net_pnl", "{:+,.2f}"),
    ("Final cash", "final_cash", "{:,.2f}"),
    ("Win rate", "win_rate", "{:.1%}"),
    ("Profit factor", "profit_factor", "{:.2f}"),
    ("Sharpe", "sharpe", "{:.2f}"),
    ("Max drawdown", "max_drawdown_pct", "{:.2f}%"),
    ("Fees", "total_fees", "{:,.2f}"),
    ("Slippage", "total_slippage", "{:,.2f}"),
    ("Minutes held", "avg_holding_minutes", "{:,.1f}"),
)


def replay(
    file: Annotated[Path, typer.Argument(help="CSV file of orders.", metavar="FILE", show_default=False, readable=False)],
    *,
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="Signal bars: a CSV or Parquet file, a folder of them, or a stored dataset's folder.",
            metavar="PATH",
            show_default=False,
            readable=False,
        ),
    ],
    data_m1: Annotated[
        Path | None,
        typer.Option(
            "--data-m1",
            help="One-minute bars for the orders to meet, likewise.",
            metavar="PATH",
            show_default=False,
            readable=False,
        ),
    ] = None,
    cash: Annotated[float, typer.Option("--cash", help="Starting capital.", metavar="AMOUNT")] = 10_000.0,
    commission_bps: Annotated[float, typer.Option("--commission-bps", help="Share of the traded value.", metavar="BPS")] = 2.0,
    slippage_bps: Annotated[float, typer.Option("--slippage-bps", help="Share of the price.", metavar="BPS")] = 1.0,
    tz: Annotated[str, typer.Option("--tz", help="Zone of --window and of messages.", metavar="ZONE")] = "America/New_York",
    calendar: Annotated[str, typer.Option("--calendar", help="Exchange whose sessions are traded.", metavar="CODE")] = "XNYS",
    end: Annotated[
        str | None, typer.Option("--end", help="Leave out bars that close later.", metavar="DATE", show_default=False)
    ] = None,
    bar_size: Annotated[
        str | None,
        typer.Option("--bar-size", help="Of --data, if their spacing does not show it.", metavar="SIZE", show_default=False),
    ] = None,
    exit_policy: Annotated[
        str, typer.Option("--exit-policy", help="Close what is open at session_end or window_end.", metavar="WHEN")
    ] = "session_end",
    window: Annotated[
        list[str] | None,
        typer.Option("--window", help="A window for window_end; may be repeated.", metavar="HH:MM-HH:MM", show_default=False),
    ] = None,
    oco_same_bar: Annotated[
        str, typer.Option("--oco-same-bar", help="If a bar reaches both legs of a set: pessimistic or no_fill.", metavar="HOW")
    ] = "pessimistic",
    grace_ms: Annotated[
        float,
        typer.Option(
            "--grace-ms", help="Orders valid this soon after an opening meet that bar; for exports of runs with latency."
        ),
    ] = 0.0,
    limits_on_touch: Annotated[
        bool, typer.Option("--limits-on-touch", help="Fill limit entries that are only touched.", metavar="")
    ] = False,
    targets_through: Annotated[
        bool, typer.Option("--targets-through", help="Fill targets only where the price trades through.", metavar="")
    ] = False,
    exit_next_bar: Annotated[
        bool, typer.Option("--exit-next-bar", help="Exits begin with the bar after the entry; needs minutes.", metavar="")
    ] = False,
    title: Annotated[
        str | None, typer.Option("--title", help="What to call the run. Default: the file's name.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Replay an order file over bars and write a run folder; exit 1 if the run fails, as for bars that break their contract.

    No strategy runs: entries, brackets and the close at the session's end follow the rules R1 to R12 of the guide.

    Example: fairlead orders replay orders.csv --data bars/5min --data-m1 bars/1min
    """
    from fairlead.backtest.replay import ReplaySettings
    from fairlead.contracts.orders import read_orders
    from fairlead.contracts.settings import build_settings
    from fairlead.core.errors import ConfigurationError, DataNotFound
    from fairlead.core.time import BarSize
    from fairlead.data.calendars import ExchangeCalendar
    from fairlead.data.dataset import MANIFEST_FILE
    from fairlead.data.readers import bar_files

    path = existing_file(file, "order file", "Write one: fairlead orders export latest")
    for option, place in (("--data", data), ("--data-m1", data_m1)):
        if place is not None and not place.exists():
            raise DataNotFound(f"there is no file or folder {place}, which {option} names. Check the path.")
        if place is not None and not (place / MANIFEST_FILE).is_file():
            bar_files(place)
    given = {
        "tz": tz,
        "calendar": ExchangeCalendar.get(calendar).name,
        "costs": {"commission_bps": commission_bps, "slippage_bps": slippage_bps},
        "initial_cash": cash,
        "requested_end": end,
        "exit_policy": exit_policy,
        "windows": tuple(window or ()),
        "oco_same_bar_policy": oco_same_bar,
        "arrival_grace_ms": grace_ms,
        "limit_fill_on_touch": limits_on_touch,
        "target_fill_on_touch": not targets_through,
        "allow_same_bar_exit": not exit_next_bar,
    }
    settings = build_settings(ReplaySettings, given, "orders replay")
    size = None if bar_size is None else BarSize.parse(bar_size)
    if size is not None and not size.is_intraday:
        raise ConfigurationError.of("--bar-size", "be intraday", bar_size)
    orders = read_orders(path)
    if orders.torn is not None and not json:
        note("[yellow]![/] the last line is torn, and put aside: {text}", text=orders.torn[:80])
    _run(path, orders, (data, data_m1, size), settings, title or path.stem, workspace_of(workspace), json=json)


def _run(
    path: Path,
    orders: OrderFile,
    data: tuple[Path, Path | None, Any],
    settings: ReplaySettings,
    title: str,
    workspace: Path,
    *,
    json: bool,
) -> None:
    from fairlead.backtest.library import free_run_id
    from fairlead.backtest.replay import ReplayAbout, ReplayRunDirectory, status_of_failure
    from fairlead.backtest.run import config_hash, run_id
    from fairlead.backtest.rundir import RUNS
    from fairlead.contracts.files import sha256_file
    from fairlead.core.errors import FairleadError, StorageError
    from fairlead.engine.clock import WallClock

    now = WallClock().now()
    hashed = config_hash({"orders": sha256_file(path), **settings.model_dump(mode="json")})
    name = free_run_id(workspace, run_id(now, title, hashed))
    folder = workspace / RUNS / name
    about = ReplayAbout(run_id=name, created_at=now, title=title)
    try:
        with ReplayRunDirectory(folder, about, settings) as run:
            result = run.replay(orders, data[0], data_path_m1=data[1], bar_size=data[2])
    except StorageError:
        raise
    except FairleadError as exc:
        error(str(exc))
        if json:
            print_json({"run_id": name, "path": str(folder), "status": status_of_failure(exc), "reason": str(exc)})
        else:
            note("  the run is in {path}", path=folder)
        raise typer.Exit(EXIT_RUN_FAILED) from exc
    if json:
        print_json({"run_id": name, "path": str(folder), "status": "SUCCESS", "metrics": result.metrics, **_counts(result)})
        return
    _print(result, name, folder)


def _counts(result: ReplayResult) -> dict[str, Any]:
    from collections import Counter

    return {
        "orders": len(result.file.orders),
        "bars": len(result.bars.ints),
        "ends": dict(Counter(leg.reason for leg in result.fills.legs if leg.trade is None)),
        "exits": dict(Counter(trade.exit_reason for trade in result.fills.trades)),
    }


def _print(result: ReplayResult, name: str, folder: Path) -> None:
    values = result.metrics
    rows = [(title, "-" if values[key] is None else form.format(values[key])) for title, key, form in _SHOWN]
    print_table("", ("Measure", "Value"), rows, right=("Value",))
    counts = _counts(result)
    ends = {**counts["exits"], **counts["ends"]}
    if ends:
        print_table("What became of them", ("How it ended", "Orders"), sorted(ends.items()), right=("Orders",))
    orders, bars = f"{counts['orders']:,}", f"{counts['bars']:,}"
    say("{name}: {orders} orders over {bars} bars", name=name, orders=orders, bars=bars)
    say("  in {path}", path=folder)
