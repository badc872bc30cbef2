"""`fairlead features drift`: whether the values of features are spread as they were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    SYNTHETIC,
    JsonFlag,
    WorkspaceOption,
    date_option,
    note,
    print_json,
    print_table,
    progress,
    say,
    workspace_of,
)
from fairlead.cli.data import validated
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
    from fairlead.core.arrays import FloatArray
    from fairlead.features.drift_report import DriftReport
    from fairlead.features.panel import FeaturePanel


def drift(
    names: NamesArgument,
    *,
    reference: Annotated[
        str,
        typer.Option("--reference", "-r", help="First and last day, of training say.", metavar="START:END", show_default=False),
    ],
    current: Annotated[
        str,
        typer.Option("--current", "-c", help="First and last day to compare with it.", metavar="START:END", show_default=False),
    ],
    param: ParamOption = None,
    dataset: DatasetOption = None,
    data: FileOption = None,
    bar_size: BarSizeOption = None,
    timezone: TimezoneOption = None,
    symbols: SymbolsOption = None,
    benchmark: BenchmarkOption = None,
    facts: FactsOption = None,
    psi: Annotated[float, typer.Option("--psi", help="A stability index above it is drift.", metavar="X")] = 0.2,
    ks_p: Annotated[float, typer.Option("--ks-p", help="A Kolmogorov-Smirnov p-value below it is drift.", metavar="P")] = 0.01,
    nan_ratio: Annotated[
        float, typer.Option("--nan-ratio", help="A NaN rate above this many times the reference's is drift.", metavar="X")
    ] = 2.0,
    correlation: Annotated[
        float, typer.Option("--correlation", help="A correlation of two that moved by more is drift.", metavar="X")
    ] = 0.3,
    bins: Annotated[int, typer.Option("--bins", help="Quantile bins of the index.", metavar="N")] = 10,
    min_values: Annotated[int, typer.Option("--min-values", help="With fewer, nothing is said.", metavar="N")] = 100,
    min_ks_values: Annotated[int, typer.Option("--min-ks-values", help="The same for the KS test.", metavar="N")] = 30,
    thin: Annotated[
        int,
        typer.Option(
            "--thin", help="The KS test sees every N-th value; a look-back length makes them independent.", metavar="N"
        ),
    ] = 1,
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile",
            help="Write the gauge for Prometheus; overwritten.",
            metavar="FILE.prom",
            show_default=False,
            readable=False,
        ),
    ] = None,
    plot: PlotOption = None,
    replace: ReplaceFlag = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Compare how features are spread in two windows of time. Exit 1 unless all are stable: drifted, or too few values to tell.

    Example: fairlead features drift rsi,macd --reference 2005-01-01:2008-12-31 --current 2012-01-01:2012-12-31
    """
    from fairlead.features.drift import detect_drift
    from fairlead.features.drift_report import DriftThresholds
    from fairlead.features.panel import compute_panel

    chosen = feature_names(names)
    params = params_by_feature(chosen, param)
    windows = {"--reference": _window("--reference", reference), "--current": _window("--current", current)}
    thresholds = validated(
        DriftThresholds,
        psi=psi,
        ks_p=ks_p,
        nan_ratio=nan_ratio,
        correlation=correlation,
        bins=bins,
        min_values=min_values,
        min_ks_values=min_ks_values,
        thin=thin,
    )
    new_file("--plot", plot, (".png",), replace=replace)
    new_file("--textfile", textfile, (".prom",), replace=True)
    folder = workspace_of(workspace)
    source = open_bars(
        folder,
        dataset=dataset,
        file=data,
        bar_size=bar_size,
        timezone=timezone,
        symbols=symbols,
        end=max(last for _, last in windows.values()),
    )
    supply = supply_of(folder, benchmark, facts)
    with progress("compute", source.expected_rows, quiet=json) as tell, in_options():
        panel = compute_panel({name: (name, params[name]) for name in chosen}, source, supply=supply, progress=tell)
    then, now = (_values_in(panel, option, window) for option, window in windows.items())
    report = detect_drift(then, now, thresholds)
    if textfile is not None:
        _write_gauge(report, textfile)
    if plot is not None:
        from fairlead.backtest.plots import to_png
        from fairlead.contracts.files import atomic_write_bytes
        from fairlead.research.feature_plots import drift_figure

        label = SYNTHETIC_NOTE if source.is_synthetic else ""
        atomic_write_bytes(plot, to_png(drift_figure(report, then, now, note=label)))
    written = [str(path) for path in (textfile, plot) if path is not None]
    if json:
        spans = {option.removeprefix("--"): [str(day) for day in window] for option, window in windows.items()}
        print_json({**report.to_dict(), "dataset": source.name, "symbols": panel.symbols, "windows": spans, "files": written})
    else:
        if source.is_synthetic:
            note(f"{SYNTHETIC} nothing here is evidence about a market.")
        _print_drift(report)
        for path in written:
            say("  [green]+[/] {path}", path=path)
    if report.status != "stable":
        raise typer.Exit(EXIT_RUN_FAILED)


def _window(option: str, text: str) -> tuple[dt.date, dt.date]:
    from fairlead.core.errors import ConfigurationError

    first, colon, last = text.partition(":")
    if not colon:
        raise ConfigurationError.of(option, "be two days like 2012-01-01:2012-12-31", text)
    days = date_option(option, first.strip()), date_option(option, last.strip())
    if days[1] < days[0]:
        raise ConfigurationError.of(option, "not end before it begins", text)
    return days


def _values_in(panel: FeaturePanel, option: str, window: tuple[dt.date, dt.date]) -> dict[str, FloatArray]:
    from fairlead.core.errors import DataNotFound
    from fairlead.core.time import date_to_day, day_to_date

    # The panel begins with history, and so each symbol with its warm-up.
    values = panel.pooled(*map(date_to_day, window), leave_out=panel.warm_up)
    if not any(len(array) for array in values.values()):
        days = [day_to_date(int(day)) for day in panel.session[[0, -1]]]
        raise DataNotFound(
            f"there are no bars in {option} {window[0]}:{window[1]} after the warm-up of {panel.warm_up}. "
            f"The data has them from {days[0]} to {days[1]}."
        )
    return values


def _write_gauge(report: DriftReport, path: Path) -> None:
    from prometheus_client import CollectorRegistry

    from fairlead.features.drift import publish_drift
    from fairlead.telemetry.metrics import Metrics

    metrics = Metrics(CollectorRegistry())
    publish_drift(report, metrics)
    metrics.write_textfile(path)


def _print_drift(report: DriftReport) -> None:
    from rich.text import Text

    colours: Mapping[str, str] = {"stable": "green", "drifted": "bold red", "not available": "yellow"}
    rows = [
        (
            row.feature,
            *(
                "-" if value is None else f"{value:{form}}"
                for value, form in ((row.psi, ".4f"), (row.ks, ".4f"), (row.p_value, ".3g"))
            ),
            *("-" if value is None else f"{value:.2%}" for value in (row.nan_reference, row.nan_current)),
            Text.assemble((row.status, colours[row.status]), *(f"\n{reason}" for reason in row.reasons)),
        )
        for row in report.features
    ]
    columns = ("Feature", "PSI", "KS", "p", "NaN then", "NaN now", "Verdict")
    print_table("", columns, rows, right=columns[1:6], whole=("Feature",))
    say()
    found = report.correlation
    if found is not None and found.pair is not None:
        pair = f"{found.pair[0]} and {found.pair[1]}"
        change = f"{found.reference:.3f} to {found.current:.3f}, limit {report.thresholds.correlation:g}"
        say("  correlation that moved most: {pair}, {change}", pair=pair, change=change)
    if found is not None and found.left_out:
        say("  correlation not available: {pairs}", pairs=", ".join(f"{a} and {b}" for a, b in found.left_out))
    say(f"[{colours[report.status]}]{report.status}[/]")
