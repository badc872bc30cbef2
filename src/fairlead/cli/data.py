"""`fairlead data`: history in and out of the workspace."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from fairlead.cli.data_check import brief, check
from fairlead.cli.data_pack import pack
from fairlead.cli.data_pull import pull

if TYPE_CHECKING:
    from rich.text import Text

    from fairlead.contracts.manifests import BarManifest
    from fairlead.data.batch import QuarantinedRow

app = typer.Typer(no_args_is_help=True)

_SHOWN_ROWS: Final = 3
_SHOWN_SYMBOLS: Final = 6
# The door speaks of arguments, as Python passes them; whoever types has options.
_ARGUMENT: Final = re.compile(r"\b(timezone|symbol)='([^']*)'")
_SUBJECT: Final = re.compile(r"^'(timezone|stamp_format|dataset|bar_size)'(?= must )")
_OTHER_FORM: Final = re.compile(r"Declare another form: stamp_format='[^']*'\.")
_CODE: Final = re.compile(r"^  - ([A-Z]\d\d) ", re.MULTILINE)

BarSizeOption = Annotated[str, typer.Option("--bar-size", "-b", help="1min, 5min, 15min, 30min, 1h, 4h or 1d.", metavar="SIZE")]
CalendarOption = Annotated[
    str, typer.Option("--calendar", help="Exchange calendar, such as XNYS, XLON or 24/7.", metavar="NAME")
]
ReplaceFlag = Annotated[bool, typer.Option("--replace", help="Forget what the dataset held.", metavar="")]


@app.callback()
def _group() -> None:
    """Import, pull, list, check, pack and generate market data."""


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(help="CSV or Parquet file, or a folder of them.", metavar="SOURCE", show_default=False, readable=False),
    ],
    *,
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="Name to store it under.", metavar="NAME", show_default=False)
    ],
    bar_size: BarSizeOption,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", "-t", help="Zone of stamps that carry none, such as America/New_York.", metavar="ZONE"),
    ] = None,
    calendar: CalendarOption = "XNYS",
    symbol: Annotated[
        str | None, typer.Option("--symbol", "-s", help="Symbol, if neither column nor file name says it.", metavar="SYMBOL")
    ] = None,
    stamp_format: Annotated[
        str | None,
        typer.Option("--stamp-format", help="How stamps are written, such as '%d.%m.%Y %H:%M'.", metavar="FORMAT"),
    ] = None,
    actions: Annotated[
        Path | None,
        typer.Option("--actions", help="CSV or JSON file of splits, dividends and other corporate actions.", metavar="FILE"),
    ] = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Put bad rows aside with their reasons instead of refusing all.", metavar="")
    ] = False,
    replace: ReplaceFlag = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Import bars of any vendor, checked at the door. Importing the same data again changes nothing.

    Example: fairlead data import prices.csv --dataset prices --bar-size 1d
    """
    from fairlead.data.action_files import read_actions
    from fairlead.data.ingest import import_bars
    from fairlead.data.opening import store_of
    from fairlead.data.store import check_dataset_name

    folder = workspace_of(workspace)
    with progress("import", quiet=json), _in_options(stamp_format, can_quarantine=not quarantine):
        check_dataset_name(dataset)
        found = () if actions is None else read_actions(actions)
        result = import_bars(
            source,
            bar_size=bar_size,
            calendar=calendar,
            timezone=timezone,
            symbol=symbol,
            stamp_format=stamp_format,
            on_bad="quarantine" if quarantine else "refuse",
        )
        manifest = store_of(folder).write(
            dataset,
            result.table,
            bar_size=bar_size,
            calendar=calendar,
            actions=found,
            source=f"imported from {source.name}",
            quarantined=result.quarantined,
            replace=replace,
        )
    if json:
        print_json({**brief(manifest), "rows_in": result.rows_in, "rows_ok": result.rows_ok})
        return
    say(
        "[green]ok[/] {ok} of {all} rows into dataset [bold]{name}[/], which holds {rows}",
        ok=f"{result.rows_ok:,}",
        all=f"{result.rows_in:,}",
        name=manifest.dataset,
        rows=f"{manifest.rows:,}",
    )
    _print_quarantined(result.quarantined)
    if result.quarantined:
        path = store_of(folder).root / manifest.dataset / manifest.bar_size.value / "quarantine.csv"
        say("  All are kept in {path}", path=path)


@app.command("ls")
def ls(*, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """List the datasets of the workspace.

    Example: fairlead data ls
    """
    from fairlead.data.opening import store_of

    folder = workspace_of(workspace)
    manifests = store_of(folder).datasets()
    if json:
        print_json([brief(m) for m in manifests])
        return
    if not manifests:
        commands = "[bold]fairlead data import[/], [bold]fairlead data synth[/] or [bold]fairlead demo[/]"
        say(f"No datasets yet in {{folder}}. Make one: {commands}", folder=folder)
        return
    # What most datasets do not have would only take room.
    counts = {"Actions": [m.actions for m in manifests], "Put aside": [m.quarantined for m in manifests]}
    shown = {title: values for title, values in counts.items() if any(values)}
    rows = [
        (
            _name(m),
            m.bar_size.value,
            len(m.symbols),
            f"{m.rows:,}",
            f"{m.first_label:%Y-%m-%d} {m.last_label:%Y-%m-%d}",
            m.calendar,
            *(f"{values[i]:,}" for values in shown.values()),
            m.content_sha256[:8],
        )
        for i, m in enumerate(manifests)
    ]
    columns = ("Dataset", "Bars", "Symbols", "Rows", "From, to", "Calendar", *shown, "Hash")
    print_table("", columns, rows, right=("Symbols", "Rows", *shown), whole=("Dataset", "Bars", "Calendar", "Hash"))


app.command("check")(check)
app.command("pull")(pull)


@app.command("synth")
def synth(
    dataset: Annotated[str, typer.Argument(help="Name to store it under.", metavar="DATASET", show_default=False)],
    *,
    symbols: Annotated[
        str, typer.Option("--symbols", "-n", help="How many, or names separated by commas.", metavar="N|NAMES")
    ] = "5",
    bar_size: BarSizeOption = "1min",
    start: Annotated[str, typer.Option("--start", help="First day.", metavar="DATE")] = "2024-01-02",
    end: Annotated[str, typer.Option("--end", help="Last day.", metavar="DATE")] = "2024-03-28",
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same prices.", min=0, metavar="N")] = 42,
    calendar: CalendarOption = "XNYS",
    replace: ReplaceFlag = False,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Generate synthetic bars on a real exchange calendar. They say so in every artefact.

    Example: fairlead data synth toy --symbols 10 --bar-size 5min --start 2024-01-02 --end 2024-06-28
    """
    from fairlead.data.generation import generate_dataset, months_of
    from fairlead.data.opening import store_of
    from fairlead.data.synthetic import SyntheticSettings

    settings = validated(
        SyntheticSettings,
        symbols=_symbols(symbols),
        bar_size=bar_size,
        calendar=calendar,
        start=date_option("--start", start),
        end=date_option("--end", end),
        seed=seed,
    )
    store = store_of(workspace_of(workspace))
    with progress("generate", months_of(settings), quiet=json) as tell:
        manifest = generate_dataset(store, dataset, settings, replace=replace, progress=tell)
    if json:
        print_json(brief(manifest))
        return
    names = [span.symbol for span in manifest.symbols]
    shown = ", ".join(names if len(names) <= _SHOWN_SYMBOLS else [*names[:2], "...", names[-1]])
    line = f"{SYNTHETIC} {{rows}} bars of {{symbols}} in dataset [bold]{{name}}[/]"
    say(line, rows=f"{manifest.rows:,}", symbols=shown, name=dataset)
    say("  Use it: [bold]data: {{type: historical, source: synthetic, dataset: {name}}}[/]", name=dataset)


app.command("pack")(pack)


def validated(settings: type[Any], **values: Any) -> Any:
    """Return settings built from options; what is wrong with them becomes one error that names the options."""
    from pydantic import ValidationError

    from fairlead.config.rules import rule_of
    from fairlead.core.errors import ConfigurationError

    try:
        return settings(**values)
    except ValidationError as exc:
        texts: dict[str, str] = {}
        for error in exc.errors():
            option = "--" + str(error["loc"][0]).replace("_", "-") if error["loc"] else ""
            if "error" in error.get("ctx", {}):
                found = str(error["ctx"]["error"])
                text = found if found.startswith("'") or not option else f"{option}: {found}"
            else:
                rule, remedy = rule_of(error, settings.model_fields.get(str(error["loc"][0])))
                text = str(ConfigurationError.of(option, rule, error["input"], remedy))
            # A setting that may be one of two things is reported for each: the first is what was meant.
            texts.setdefault(option, text)
        raise ConfigurationError("\n".join(texts.values())) from exc


@contextmanager
def _in_options(stamp_format: str | None, *, can_quarantine: bool) -> Iterator[None]:
    """Say what the door refuses in the words of the command line, and what to do about it."""
    from fairlead.core.errors import ConfigurationError, ContractError

    try:
        yield
    except (ConfigurationError, ContractError) as exc:
        text = _ARGUMENT.sub(lambda m: f"{_option(m[1])} {shlex.quote(m[2])}", str(exc))
        text = _SUBJECT.sub(lambda m: repr(_option(m[1])), text).replace("Leave symbol= out", "Leave --symbol out")
        start = "Say how it is written, such as" if stamp_format is None else f"{stamp_format!r} does not fit; write it like"
        text = _OTHER_FORM.sub(lambda _: f"{start} --stamp-format '%d.%m.%Y' or '%m/%d/%Y %H:%M'.", text)
        raise type(exc)("\n".join([text, *_remedies(set(_CODE.findall(text)), can_quarantine=can_quarantine)])) from exc


def _remedies(codes: set[str], *, can_quarantine: bool) -> Iterator[str]:
    if "S01" in codes:
        yield "Say which symbol it is: --symbol, or a column of that name."
    if "D04" in codes:
        yield "Sort the file by its stamps, the oldest first."
    if "D10" in codes:
        yield "Write numbers like 1234.5: a point before the decimals, nothing between the thousands."
    if "I03" in codes:
        yield "Say how long the bars are: --bar-size."
    # Of a file in the wrong order, or of another bar size, next to nothing would be left.
    if codes and can_quarantine and not codes & {"S01", "D04", "I03"}:
        yield "Correct the rows, or put them aside and import the rest: --quarantine."


def _option(argument: str) -> str:
    return "--" + argument.replace("_", "-")


def _print_quarantined(rows: Sequence[QuarantinedRow]) -> None:
    by_reason: dict[str, list[QuarantinedRow]] = {}
    for row in rows:
        by_reason.setdefault(row.reason, []).append(row)
    for reason, same in by_reason.items():
        count = f"{len(same):,} row{'s' if len(same) != 1 else ''}"
        say("  [yellow]![/] {count} put aside: {reason}", count=count, reason=reason)
        for row in same[:_SHOWN_ROWS]:
            say("      {place} ({symbol} {ts})", place=f"{row.origin}:{row.line}", symbol=row.symbol, ts=row.ts)
        if len(same) > _SHOWN_ROWS:
            say(f"      ... and {len(same) - _SHOWN_ROWS:,} more")


def _symbols(text: str) -> int | tuple[str, ...]:
    from fairlead.core.errors import ConfigurationError

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or text.strip() == "0":
        raise ConfigurationError.of("--symbols", "be a count from 1, or names separated by commas", text)
    return int(text) if text.strip().isdecimal() else names


def _name(manifest: BarManifest) -> Text:
    from rich.text import Text

    return (
        Text.assemble(("SYNTHETIC", "black on yellow"), " ", manifest.dataset) if manifest.synthetic else Text(manifest.dataset)
    )
