"""`fairlead features compute`: the values of features over history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import (
    SYNTHETIC,
    JsonFlag,
    WorkspaceOption,
    date_option,
    print_json,
    print_table,
    progress,
    say,
    workspace_of,
)
from fairlead.cli.feature_choice import (
    SYNTHETIC_NOTE,
    BarSizeOption,
    BenchmarkOption,
    DatasetOption,
    FactsOption,
    FileOption,
    NamesArgument,
    ParamOption,
    PlotOption,
    ReplaceFlag,
    SymbolsOption,
    TimezoneOption,
    feature_names,
    in_options,
    new_file,
    open_bars,
    params_by_feature,
    supply_of,
)

if TYPE_CHECKING:
    from fairlead.data.source import DataSource
    from fairlead.features.panel import FeaturePanel

_SHOWN_SYMBOLS: Final = 10


def compute(
    names: NamesArgument,
    *,
    param: ParamOption = None,
    dataset: DatasetOption = None,
    data: FileOption = None,
    bar_size: BarSizeOption = None,
    timezone: TimezoneOption = None,
    symbols: SymbolsOption = None,
    start: Annotated[str | None, typer.Option("--start", help="First day.", metavar="DATE", show_default=False)] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day.", metavar="DATE", show_default=False)] = None,
    benchmark: BenchmarkOption = None,
    facts: FactsOption = None,
    tail: Annotated[int, typer.Option("--tail", help="Rows to print per symbol.", min=0, metavar="N")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-O", help="Write all rows: .csv or .parquet.", metavar="FILE", show_default=False, readable=False
        ),
    ] = None,
    plot: PlotOption = None,
    replace: ReplaceFlag = False,
    materialise: Annotated[
        bool, typer.Option("--materialise", help="Keep the values of all of history in the workspace.", metavar="")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Compute features on bars: print the last rows, write them to a file, draw them, keep them.

    They are warmed up on all the history there is before the first day, and stand in prices of their day.

    Example: fairlead features compute rsi,bollinger --param n=14 --symbols AAPL --start 2012-01-01 --plot aapl.png
    """
    from fairlead.features.panel import FILE_KINDS, compute_panel, write_panel
    from fairlead.features.store import FeatureStore

    chosen = feature_names(names)
    params = params_by_feature(chosen, param)
    new_file("--out", out, FILE_KINDS, replace=replace)
    new_file("--plot", plot, (".png",), replace=replace)
    folder = workspace_of(workspace)
    days = [None if text is None else date_option(option, text) for option, text in (("--start", start), ("--end", end))]
    source = open_bars(
        folder, dataset=dataset, file=data, bar_size=bar_size, timezone=timezone, symbols=symbols, start=days[0], end=days[1]
    )
    supply = supply_of(folder, benchmark, facts)
    requests = {name: (name, params[name]) for name in chosen}
    kept: list[str] = []
    if materialise:
        with progress("materialise", source.whole().expected_rows, quiet=json) as tell, in_options():
            store = FeatureStore(source, folder=supply.folder, side=supply.side)
            kept = [str(entry.folder) for entry in store.materialise(requests, tell)]
    with progress("compute", source.expected_rows, quiet=json) as tell, in_options():
        panel = compute_panel(requests, source, supply=supply, progress=tell)
    if out is not None:
        write_panel(panel, out)
    drawn = _draw_panel(panel, plot, synthetic=source.is_synthetic)
    written = [str(path) for path in (out, plot) if path is not None]
    if json:
        print_json(_panel_as_json(panel, source, tail) | {"files": written, "kept": kept})
        return
    _print_panel(panel, source, tail)
    for path in written:
        say("  [green]+[/] {path}", path=path)
    if plot is not None and len(drawn) < len(panel.symbols):
        say("  [dim]drawn: {symbols}; choose with --symbols[/]", symbols=", ".join(drawn))
    for path in kept:
        say("  [green]kept[/] {path}", path=path)


def _panel_as_json(panel: FeaturePanel, source: DataSource, tail: int) -> dict[str, Any]:
    import numpy as np

    features = {
        label: {
            "name": node.feature.name,
            "version": node.feature.version,
            "params": dict(zip(node.feature.parameters, node.params.tolist(), strict=True)),
            "identity": node.identity,
            "warm_up": node.warm_up,
        }
        for label, node in panel.plan.asked.items()
    }
    rows: list[dict[str, Any]] = []
    for column, symbol in enumerate(panel.symbols):
        for row in _last_rows(panel, column, tail):
            known = np.datetime_as_string(panel.known_ns[row].view("datetime64[ns]"), unit="s", timezone="UTC")
            values = {name: array[row, column] for name, array in panel.values.items()}
            rows.append({"symbol": symbol, "known": str(known), "close": panel.close[row, column], **values})
    return {
        "dataset": source.name,
        "synthetic": source.is_synthetic,
        "bar_size": panel.bar_size.value,
        "symbols": panel.symbols,
        "features": features,
        "values": {name: dict(zip(_FIGURES, row, strict=True)) for name, *row in _figures(panel)},
        "tail": rows,
    }


_FIGURES: Final = ("rows", "missing", "missing_share", "min", "mean", "max")


def _figures(panel: FeaturePanel) -> list[list[Any]]:
    import numpy as np

    rows = []
    for name, array in panel.values.items():
        values = array[panel.has_bar]
        known = values[np.isfinite(values)]
        missing = len(values) - len(known)
        spread = (known.min(), known.mean(), known.max()) if len(known) else (np.nan,) * 3
        rows.append([name, len(values), missing, missing / len(values), *map(float, spread)])
    return rows


def _last_rows(panel: FeaturePanel, column: int, tail: int) -> list[int]:
    import numpy as np

    rows: list[int] = np.flatnonzero(panel.has_bar[:, column]).tolist()
    return rows[-tail:] if tail else []


def _print_panel(panel: FeaturePanel, source: DataSource, tail: int) -> None:
    import numpy as np

    label = f"{SYNTHETIC} " if source.is_synthetic else ""
    days = [str(day) for day in panel.session[[0, -1]].astype("datetime64[D]")]
    count = "1 symbol" if len(panel.symbols) == 1 else f"{len(panel.symbols):,} symbols"
    what = f"{len(panel.label_ns):,} bars of {panel.bar_size.value}, {count}, {days[0]} to {days[1]}"
    say(f"{label}[bold]{{name}}[/] [dim]{{what}}[/]\n", name=source.name, what=what)
    if tail:
        intraday = panel.bar_size.is_intraday
        stamps = np.datetime_as_string(panel.label_ns.view("datetime64[ns]"), unit="m" if intraday else "D")
        rows: list[Sequence[object]] = []
        for column, symbol in enumerate(panel.symbols[:_SHOWN_SYMBOLS]):
            for i, row in enumerate(_last_rows(panel, column, tail)):
                cells = (_text(array[row, column]) for array in panel.values.values())
                stamp = stamps[row].replace("T", " ")
                rows.append((symbol if i == 0 else "", stamp, _text(panel.close[row, column]), *cells))
        columns = ("Symbol", "Bar (UTC)" if intraday else "Session", "close", *panel.values)
        print_table("", columns, rows, right=columns[2:], whole=columns[:2])
        if len(panel.symbols) > _SHOWN_SYMBOLS:
            say("  [dim]... and {more} more symbols; --out writes all[/]", more=len(panel.symbols) - _SHOWN_SYMBOLS)
        say()
    rows = [(name, f"{n:,}", f"{share:.2%}", *map(_text, spread)) for name, n, _, share, *spread in _figures(panel)]
    print_table(
        "",
        ("Value", "Rows", "Missing", "Lowest", "Mean", "Highest"),
        rows,
        right=("Rows", "Missing", "Lowest", "Mean", "Highest"),
    )


def _draw_panel(panel: FeaturePanel, path: Path | None, *, synthetic: bool) -> tuple[str, ...]:
    if path is None:
        return ()
    from fairlead.backtest.plots import to_png
    from fairlead.contracts.files import atomic_write_bytes
    from fairlead.research.feature_plots import MOST_SYMBOLS, feature_figure

    drawn = panel.symbols[:MOST_SYMBOLS]
    atomic_write_bytes(path, to_png(feature_figure(panel, drawn, note=SYNTHETIC_NOTE if synthetic else "")))
    return drawn


def _text(value: float) -> str:
    return "" if value != value else f"{value:,.6g}"
