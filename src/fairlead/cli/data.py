"""`fairlead data`: history in and out of the workspace."""

from __future__ import annotations

import datetime as dt
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
    stdout,
    workspace_of,
)

if TYPE_CHECKING:
    from fairlead.contracts.manifests import BarManifest

app = typer.Typer(help="Import, list, check and generate market data.", no_args_is_help=True)

BarSizeOption = Annotated[str, typer.Option("--bar-size", "-b", help="1min, 5min, 15min, 30min, 1h, 4h or 1d.")]
CalendarOption = Annotated[str, typer.Option("--calendar", help="Exchange calendar, such as XNYS, XLON or 24/7.")]


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="CSV or Parquet file, or a folder of them.", show_default=False)],
    *,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Name to store it under.", show_default=False)],
    bar_size: BarSizeOption,
    timezone: Annotated[
        str | None, typer.Option("--timezone", "-t", help="Zone of stamps that carry none, such as America/New_York.")
    ] = None,
    calendar: CalendarOption = "XNYS",
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="Symbol, if file and columns do not say.")] = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Put bad rows aside with their reasons instead of refusing the import.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Forget what the dataset held.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Import bars of any vendor, checked at the door. Importing the same data again changes nothing.

    Example: fairlead data import prices.csv -d prices -b 1d
    """
    from fairlead.data.ingest import import_bars
    from fairlead.data.opening import store_of

    result = import_bars(
        source,
        bar_size=bar_size,
        calendar=calendar,
        timezone=timezone,
        symbol=symbol,
        on_bad="quarantine" if quarantine else "refuse",
    )
    manifest = store_of(workspace_of(workspace)).write(
        dataset,
        result.table,
        bar_size=bar_size,
        calendar=calendar,
        source=f"imported from {source.name}",
        quarantined=result.quarantined,
        replace=replace,
    )
    if json:
        print_json({**_brief(manifest), "rows_in": result.rows_in, "rows_ok": result.rows_ok})
        return
    console = stdout()
    console.print(f"[green]ok[/] {result.rows_ok:,} of {result.rows_in:,} rows into dataset [bold]{manifest.dataset}[/]")
    for row in result.quarantined[:10]:
        console.print(f"  [yellow]![/] put aside: {row}", soft_wrap=True, markup=True)
    if len(result.quarantined) > 10:
        console.print(f"  ... and {len(result.quarantined) - 10:,} more in quarantine.csv")


@app.command("ls")
def ls(*, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """List the datasets of the workspace."""
    from fairlead.data.opening import store_of

    manifests = store_of(workspace_of(workspace)).datasets()
    if json:
        print_json([_brief(m) for m in manifests])
        return
    if not manifests:
        stdout().print("No datasets yet. Make one: fairlead data import, fairlead data synth, or fairlead demo")
        return
    rows = [
        (
            ("SYNTHETIC " if m.synthetic else "") + m.dataset,
            m.bar_size.value,
            len(m.symbols),
            f"{m.rows:,}",
            f"{m.first_label:%Y-%m-%d} to {m.last_label:%Y-%m-%d}",
            m.calendar,
            m.actions,
            m.quarantined,
            m.content_sha256[:8],
        )
        for m in manifests
    ]
    columns = ("Dataset", "Bars", "Symbols", "Rows", "Span", "Calendar", "Actions", "Quarantined", "Hash")
    print_table("", columns, rows, right=("Symbols", "Rows", "Actions", "Quarantined"))


@app.command("check")
def check(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset.", show_default=False)],
    *,
    bar_size: Annotated[str | None, typer.Option("--bar-size", "-b", help="If the dataset has several.")] = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Compare a dataset's files with their hashes and its bars with the rules; exit 1 if a rule is broken."""
    from fairlead.data.checking import check_dataset
    from fairlead.data.opening import store_of

    opened = store_of(workspace_of(workspace)).open(dataset, bar_size)
    with progress("check", len(opened.manifest.files), quiet=json) as tell:
        checks = list(check_dataset(opened, tell))
    broken = [c for c in checks if c.violations]
    if json:
        print_json(
            {
                **_brief(opened.manifest),
                "passed": not broken,
                "violations": [
                    {"symbol": c.symbol, "month": c.month, "code": v.code, "message": v.message, "count": v.count}
                    for c in broken
                    for v in c.violations
                ],
            }
        )
    elif broken:
        rows = [(c.symbol, c.month, v.code, v.count, v.message) for c in broken for v in c.violations]
        print_table(f"{dataset}: rules broken", ("Symbol", "Month", "Code", "Count", "What"), rows, right=("Count",))
    else:
        bars, files = sum(c.bars for c in checks), len(opened.manifest.files)
        stdout().print(f"[green]ok[/] {files} files match their hashes, {bars:,} bars pass every rule.")
    if broken:
        raise typer.Exit(EXIT_RUN_FAILED)


@app.command("synth")
def synth(
    dataset: Annotated[str, typer.Argument(help="Name to store it under.", show_default=False)],
    *,
    symbols: Annotated[str, typer.Option("--symbols", "-n", help="How many, or names separated by commas.")] = "5",
    bar_size: BarSizeOption = "1min",
    start: Annotated[str, typer.Option("--start", help="First day.")] = "2024-01-02",
    end: Annotated[str, typer.Option("--end", help="Last day.")] = "2024-03-28",
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same prices.", min=0)] = 42,
    calendar: CalendarOption = "XNYS",
    replace: Annotated[bool, typer.Option("--replace", help="Forget what the dataset held.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Generate synthetic bars on a real exchange calendar. They say so in every artefact.

    Example: fairlead data synth toy --symbols 10 --bar-size 5min --start 2024-01-02 --end 2024-06-28
    """
    from fairlead.data.calendars import ExchangeCalendar
    from fairlead.data.opening import store_of
    from fairlead.data.synthetic import SyntheticSettings, describe, generate_bar_batches

    names: int | tuple[str, ...] = int(symbols) if symbols.isdigit() else tuple(s.strip() for s in symbols.split(","))
    settings = validated(
        SyntheticSettings,
        symbols=names,
        bar_size=bar_size,
        calendar=calendar,
        start=_date("--start", start),
        end=_date("--end", end),
        seed=seed,
    )
    store = store_of(workspace_of(workspace))
    manifest: BarManifest | None = None
    months = (settings.end.year - settings.start.year) * 12 + settings.end.month - settings.start.month + 1
    with progress("generate", months, quiet=json) as tell:
        for done, table in enumerate(generate_bar_batches(settings, ExchangeCalendar.get(calendar)), start=1):
            manifest = store.write(
                dataset,
                table,
                bar_size=settings.bar_size,
                calendar=calendar,
                synthetic=True,
                seed=seed,
                source=describe(settings),
                replace=replace and done == 1,
            )
            tell(min(done, months))
    assert manifest is not None  # a span without sessions has raised
    if json:
        print_json(_brief(manifest))
    else:
        stdout().print(f"[black on yellow] SYNTHETIC [/] {manifest.rows:,} bars into dataset [bold]{dataset}[/]")


def validated(settings: type[Any], **values: Any) -> Any:
    """Return settings built from options; what is wrong with them becomes one error that names the options."""
    from pydantic import ValidationError

    from fairlead.core.errors import ConfigurationError

    try:
        return settings(**values)
    except ValidationError as exc:
        texts = [f"--{_option(e['loc'])}: {e['msg']}, was {e['input']!r}" for e in exc.errors()]
        raise ConfigurationError("; ".join(texts)) from exc


def _option(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)).replace("_", "-")


def _date(option: str, text: str) -> dt.date:
    from fairlead.core.errors import ConfigurationError

    try:
        return dt.date.fromisoformat(text)
    except ValueError as exc:
        raise ConfigurationError.of(option, "be a date like 2024-01-31", text) from exc


def _brief(manifest: BarManifest) -> dict[str, Any]:
    brief = manifest.model_dump(mode="json", exclude={"files"})
    return {**brief, "symbols": [span["symbol"] for span in brief["symbols"]]}
