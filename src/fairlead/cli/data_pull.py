"""`fairlead data pull`: what a vendor has and a dataset has not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fairlead.cli.console import (
    JsonFlag,
    WorkspaceOption,
    date_option,
    environ,
    note,
    print_json,
    print_table,
    progress,
    say,
    workspace_of,
)
from fairlead.cli.data_check import brief

if TYPE_CHECKING:
    from fairlead.data.vendors.pulled import PullResult

_SHOWN_SYMBOLS: Final = 40
_SHOWN_ROWS: Final = 5


def pull(
    dataset: Annotated[str, typer.Argument(help="Name to store it under.", metavar="DATASET", show_default=False)],
    *,
    source: Annotated[str, typer.Option("--source", help="alpaca, ibkr or yahoo.", metavar="NAME", show_default=False)],
    symbols: Annotated[
        str, typer.Option("--symbols", "-n", help="Names separated by commas.", metavar="NAMES", show_default=False)
    ],
    start: Annotated[str, typer.Option("--start", help="First session.", metavar="DATE", show_default=False)],
    end: Annotated[str | None, typer.Option("--end", help="Last session. Default: the newest.", metavar="DATE")] = None,
    bar_size: Annotated[
        str, typer.Option("--bar-size", "-b", help="1min, 5min, 15min, 30min, 1h, 4h or 1d.", metavar="SIZE")
    ] = "1d",
    calendar: Annotated[
        str, typer.Option("--calendar", help="Exchange calendar, such as XNYS, XLON or 24/7.", metavar="NAME")
    ] = "XNYS",
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="What the source takes besides, such as feed=sip.", metavar="KEY=VALUE"),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Get bars, splits and dividends from a vendor: only what the dataset does not have, and what may have been corrected.

    Interrupted in whatever way, the same command goes on where it was. Every bar passes the door; bad ones are put aside.
    Exit 1 if the vendor fails, 2 if the input is wrong or a symbol has no bars.

    Example: fairlead data pull us_daily --source yahoo --symbols AAPL,MSFT --start 2020-01-02
    """
    from fairlead.core.errors import DataNotFound
    from fairlead.core.time import BarSize, to_ns
    from fairlead.data.calendars import ExchangeCalendar
    from fairlead.data.opening import store_of
    from fairlead.data.vendors.asking import Surroundings
    from fairlead.data.vendors.pull import PullOrder, opened_pull
    from fairlead.data.vendors.sources import open_history
    from fairlead.engine.clock import WallClock

    clock = WallClock()
    around = Surroundings(lambda: to_ns(clock.now()), time.monotonic, time.sleep, Random().random)  # noqa: S311  jitter
    order = PullOrder(
        dataset=dataset,
        symbols=_names(symbols),
        bar_size=BarSize.parse(bar_size),
        start=date_option("--start", start),
        end=None if end is None else date_option("--end", end),
        calendar=ExchangeCalendar.get(calendar),
    )
    store = store_of(workspace_of(workspace))
    vendor = open_history(source, _settings(option or ()), environ(), around.now_ns)
    with opened_pull(store, order, vendor, around) as pull_, progress("pull", pull_.total, quiet=json) as tell:
        result = pull_.run(tell)
    if json:
        print_json({**result.to_json(), "content": None if result.manifest is None else brief(result.manifest)})
    else:
        _show(result)
    if result.unknown:
        names = ", ".join(result.unknown)
        reasons = "".join(f"\n{text}" for text in dict.fromkeys(result.unknown.values()) if text)
        span = f"from {result.first} to {result.last}"
        raise DataNotFound(f"no bars of {names} came from {result.source} {span}. Check the names and the dates.{reasons}")


def _names(text: str) -> tuple[str, ...]:
    from fairlead.core.errors import ConfigurationError

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ConfigurationError.of("--symbols", "be names separated by commas", text)
    return names


def _settings(texts: Sequence[str]) -> dict[str, str]:
    from fairlead.core.errors import ConfigurationError

    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigurationError.of("--option", "be KEY=VALUE", text)
        settings[name] = value
    return settings


def _show(result: PullResult) -> None:
    rows = [
        (one.symbol, f"{one.rows:,}", f"{one.days:,}", f"{one.actions:,}", f"{one.quarantined:,}", f"{one.gaps:,}")
        for one in result.symbols
        if one.rows or one.actions or one.quarantined or one.gaps
    ]
    if rows:
        columns = ("Symbol", "Rows", "Days", "Actions", "Put aside", "Gaps")
        print_table("", columns, rows[:_SHOWN_SYMBOLS], right=columns[1:], whole=("Symbol",))
        if len(rows) > _SHOWN_SYMBOLS:
            say("  ... and {count} more symbols", count=len(rows) - _SHOWN_SYMBOLS)
    if result.manifest is None:
        return
    say(
        "[green]ok[/] {added} bars new, {revised} corrected in [bold]{name}[/], which holds {rows} ({requests} requests)",
        added=f"{result.added:,}",
        revised=f"{result.revised:,}",
        name=result.dataset,
        rows=f"{result.manifest.rows:,}",
        requests=f"{result.requests:,}",
    )
    reasons: dict[str, list[str]] = {}
    for row in result.quarantined:
        reasons.setdefault(row.reason, []).append(f"{row.symbol} {row.ts}")
    for reason, bars in reasons.items():
        more = f" and {len(bars) - _SHOWN_ROWS:,} more" if len(bars) > _SHOWN_ROWS else ""
        note("[yellow]![/] put aside: {reason}; {bars}{more}", reason=reason, bars=", ".join(bars[:_SHOWN_ROWS]), more=more)
    for one in result.symbols:
        if one.gap_days:
            more = f" and {len(one.gap_days) - _SHOWN_ROWS:,} more" if len(one.gap_days) > _SHOWN_ROWS else ""
            days = ", ".join(str(day) for day in one.gap_days[:_SHOWN_ROWS])
            note(
                "[yellow]![/] {symbol} lacks {gaps} bars in {days}{more}",
                symbol=one.symbol,
                gaps=one.gaps,
                days=days,
                more=more,
            )
