"""`fairlead data check`: are a dataset's files whole, do its bars keep their rules, and are they good enough to act on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairlead.cli.console import (
    SYNTHETIC,
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
from fairlead.cli.data_pack import DatasetArgument, WhichBarSizeOption

if TYPE_CHECKING:
    from rich.text import Text

    from fairlead.contracts.manifests import BarManifest
    from fairlead.contracts.quality import QualityRecord
    from fairlead.core.errors import GateError
    from fairlead.data.checking import SymbolCheck


def check(
    dataset: DatasetArgument,
    *,
    bar_size: WhichBarSizeOption = None,
    start: Annotated[
        str | None,
        typer.Option("--start", help="First session that must be there. Default: each symbol's first.", metavar="DATE"),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", help="Last session that must be there. Default: each symbol's last.", metavar="DATE")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="The present, if a live feed fills the dataset: measures lateness.", metavar="TIME"),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Compare a dataset's files with their hashes, its bars with the rules, and its quality with the service levels.

    Exit 1 if a rule is broken or a fatal level is not met. The levels go to quality/ in the workspace. The variables
    ENABLE_CONTRACTS and ENABLE_SLA_CHECKS turn either part off, or into a warning.

    Example: fairlead data check us_equities
    """
    from fairlead.contracts.enforcement import Enforcement, EnforcementSettings
    from fairlead.contracts.quality import write_records
    from fairlead.data.checking import check_dataset
    from fairlead.data.opening import store_of
    from fairlead.data.quality import DatasetQuality

    levels = EnforcementSettings().switched(environ())
    folder = workspace_of(workspace)
    dates = [None if text is None else date_option(name, text) for name, text in (("--start", start), ("--end", end))]
    present = None if reference is None else _instant("--reference", reference)
    opened = store_of(folder).open(dataset, bar_size)
    quality = None
    if levels.slas is not Enforcement.OFF:
        quality = DatasetQuality(opened, reference_time=present, start=dates[0], end=dates[1])
    with progress("check", len(opened.manifest.files), quiet=json) as tell:
        held = levels.contracts is not Enforcement.OFF
        checks = list(check_dataset(opened, tell, quality=quality, contracts=held))
    records = [] if quality is None else quality.records()
    write_records(folder, records)
    rules, slas = _broken_rules(dataset, checks), _missed_levels(dataset, records)
    if json:
        print_json(
            {
                **brief(opened.manifest),
                "passed": rules is None and slas is None,
                "enforcement": levels.model_dump(mode="json", include={"contracts", "slas"}),
                "violations": [
                    {"symbol": c.symbol, "month": c.month, **violation.as_json()} for c in checks for violation in c.violations
                ],
                "slas": [{"symbol": record.symbol, **sla} for record in records for sla in record.slas],
            }
        )
    else:
        _print_rules(dataset, checks, synthetic=opened.manifest.synthetic, files=len(opened.manifest.files), held=held)
        _print_levels(records)
    levels.contracts.apply(lambda: rules, _warn)
    levels.slas.apply(lambda: slas, _warn)


def brief(manifest: BarManifest) -> dict[str, Any]:
    """Return what a manifest says, without its files and with no more than the names of its symbols."""
    plain = manifest.model_dump(mode="json", exclude={"files"})
    return {**plain, "symbols": [span["symbol"] for span in plain["symbols"]]}


def _broken_rules(dataset: str, checks: Sequence[SymbolCheck]) -> GateError | None:
    from fairlead.core.errors import GateError

    codes = sorted({violation.code for c in checks for violation in c.violations})
    return GateError(f"{dataset}: bars break the rules {', '.join(codes)}.") if codes else None


def _missed_levels(dataset: str, records: Sequence[QualityRecord]) -> GateError | None:
    from fairlead.contracts.quality import Severity
    from fairlead.core.errors import GateError

    missed = [s for r in records for s in r.slas if s["severity"] == Severity.FATAL.value and not s["passed"]]
    names = sorted({sla["sla_name"] for sla in missed})
    return GateError(f"{dataset}: fatal service levels are not met: {', '.join(names)}.") if names else None


def _print_rules(dataset: str, checks: Sequence[SymbolCheck], *, synthetic: bool, files: int, held: bool) -> None:
    rows = [(c.symbol, c.month, v.code, v.count, v.message) for c in checks for v in c.violations]
    if rows:
        print_table(f"{dataset}: rules broken", ("Symbol", "Month", "Code", "Count", "What"), rows, right=("Count",))
        return
    label = f"{SYNTHETIC} " if synthetic else ""
    bars = f"{sum(c.bars for c in checks):,} bars {'pass every rule' if held else 'not held to the rules'}."
    say(f"{label}[green]ok[/] {files} files match their hashes, {bars}")


def _print_levels(records: Sequence[QualityRecord]) -> None:
    """Print one row a level: of how many symbols it is met, and the worst of them."""
    from rich.text import Text

    if not records:
        return
    rows: list[tuple[str | Text, ...]] = []
    for name in [sla["sla_name"] for sla in records[0].slas]:
        found = [(record.symbol, sla) for record in records for sla in record.slas if sla["sla_name"] == name]
        missed = [(symbol, sla) for symbol, sla in found if not sla["passed"]]
        symbol, worst = max(missed or found, key=lambda item: _badness(item[1]))
        style = ("ok", "green") if not missed else ("failed", "red") if worst["severity"] == "FATAL" else ("hint", "yellow")
        met = f"{len(found) - len(missed)} of {len(found)}"
        measured = "-" if worst["measured_value"] is None else f"{worst['measured_value']:.6g}"
        rows.append((name, Text(*style), met, measured, f"{worst['threshold']:g}", f"{symbol}: {worst['message']}"))
    columns = ("Level", "", "Met by", "Worst", "Limit", "Where")
    print_table("", columns, rows, right=("Met by", "Worst", "Limit"), whole=("Level",))


def _badness(sla: dict[str, Any]) -> float:
    if sla["measured_value"] is None:
        return float("inf")
    # Of a share, less is worse; of a count or a delay, more.
    return float(-sla["measured_value"] if sla["sla_name"].endswith("completeness") else sla["measured_value"])


def _warn(text: str) -> None:
    note("[yellow]![/] {text}", text=text)


def _instant(option: str, text: str) -> dt.datetime:
    from fairlead.core.errors import ConfigurationError

    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ConfigurationError.of(option, "be a time with its zone like 2024-06-28T19:59:00Z", text)
    return instant
