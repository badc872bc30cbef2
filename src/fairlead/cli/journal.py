"""`fairlead journal`: what paper and live sessions wrote down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
    date_option,
    error,
    print_json,
    print_table,
    progress,
    say,
    workspace_of,
)

if TYPE_CHECKING:
    from fairlead.journal import JournalSettings, JournalStore, Record

app = typer.Typer(no_args_is_help=True)

_SHOWN: Final = 50
_TEXT: Final = 100
_DATE: Final = len("2025-01-06")

PlaceOption = Annotated[
    str,
    typer.Option(
        "--journal",
        help="URL or path of the journal. Default: journal.db in the workspace.",
        metavar="URL",
        show_default=False,
    ),
]
KindOption = Annotated[str | None, typer.Option("--kind", "-k", help="Only records of this kind.", metavar="KIND")]
StrategyOption = Annotated[str | None, typer.Option("--strategy", "-s", help="Only those of this strategy.", metavar="NAME")]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="Only those that concern this symbol.", metavar="SYMBOL")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="From this date or UTC instant on: 2025-01-06T14:40:00Z.", metavar="INSTANT")
]


@app.callback()
def _group() -> None:
    """Verify, show and export the journal of paper and live sessions."""


@app.command("verify")
def verify(
    *,
    journal: PlaceOption = "",
    head: Annotated[
        str,
        typer.Option(
            "--head",
            help="File with the newest hash. Default: beside the journal, called as it is: journal.head.",
            metavar="FILE",
            show_default=False,
        ),
    ] = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Check every record, every link and the head; name the first record that is wrong and exit 1 if there is one.

    Example: fairlead journal verify
    """
    from fairlead.core.errors import DataNotFound
    from fairlead.journal import read_head
    from fairlead.journal import verify as verify_chain

    settings, folder = _settings(journal, head, workspace)
    path = settings.head_path(folder)
    expected = read_head(path)
    if head and expected is None:
        raise DataNotFound(f"there is no head {path}. Leave --head out to check the chain alone.")
    with closing(_opened(settings, folder)) as store, progress("verify", quiet=json):
        verdict = verify_chain(store, expected)
        place = store.place
    if json:
        print_json(
            {
                "journal": place,
                "whole": verdict.whole,
                "records": verdict.records,
                "head": verdict.head._asdict() if verdict.head else None,
                "expected": expected._asdict() if expected else None,
                "fault": verdict.fault,
                "seq": verdict.seq,
                "text": verdict.text,
            }
        )
    elif verdict.whole:
        say("[green]ok[/] {count} records in {place}", count=f"{verdict.records:,}", place=place)
        say("  head {hash}", hash=verdict.head.hash if verdict.head else "none")
        if expected is None:
            say("  [yellow]![/] there is no {path}: records missing from the end would not show", path=path)
    if not verdict.whole:
        if not json:
            error(f"{place} is broken at {verdict.text}\n{verdict.records:,} records before it are in order.")
        raise typer.Exit(EXIT_RUN_FAILED)


@app.command("show")
def show(
    *,
    kind: KindOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    last: Annotated[int, typer.Option("--last", "-n", help="How many of them, the newest.", min=1, metavar="N")] = _SHOWN,
    journal: PlaceOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Show the newest records, or the newest of those asked for.

    Example: fairlead journal show --kind fill --symbol AAPL
    """
    from fairlead.core.time import format_utc

    settings, folder = _settings(journal, "", workspace)
    keep = _selection(kind, strategy, symbol, since)
    with closing(_opened(settings, folder)) as store:
        newest = store.last()
        filtered = any(value is not None for value in (kind, strategy, symbol, since))
        start = 1 if filtered or newest is None else max(1, newest.seq - last + 1)
        records = deque(keep(store.read(start)), last)
    if json:
        print_json([{**record._asdict(), "payload": record.data} for record in records])
        return
    if not records:
        say("No such records in {place}.", place=store.place)
        return
    rows = [(r.seq, format_utc(r.ts_ns), r.kind, r.strategy, r.symbol, r.order_id[:8], _words(r)) for r in records]
    columns = ("Seq", "Time", "Kind", "Strategy", "Symbol", "Order", "What")
    print_table("", columns, rows, right=("Seq",), whole=("Time", "Kind", "Order"))


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Parquet file to write.", metavar="FILE", show_default=False, readable=False)],
    *,
    kind: KindOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    journal: PlaceOption = "",
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Write records to a Parquet file: all of them, or those asked for.

    Example: fairlead journal export journal.parquet
    """
    from fairlead.journal import export_parquet

    settings, folder = _settings(journal, "", workspace)
    _refuse_own(file, settings, folder)
    keep = _selection(kind, strategy, symbol, since)
    with closing(_opened(settings, folder)) as store, progress("export", quiet=json):
        written = export_parquet(keep(store.read()), file)
    if json:
        print_json({"path": str(file), "records": written})
    else:
        say("[green]ok[/] {count} records\n  in {path}", count=f"{written:,}", path=file)


def _settings(journal: str, head: str, workspace: Path | None) -> tuple[JournalSettings, Path]:
    from fairlead.journal import JournalSettings

    return JournalSettings(url=journal, head=head), workspace_of(workspace)


def _refuse_own(file: Path, settings: JournalSettings, folder: Path) -> None:
    """Refuse to write over a file that the journal consists of."""
    from fairlead.core.errors import ConfigurationError

    database, target = settings.file(folder), file.expanduser()
    own = [] if database is None else [database.with_name(f"{database.name}{end}") for end in ("", "-wal", "-shm", ".lock")]
    for path in (*own, settings.head_path(folder)):
        if target.resolve() == path.resolve() or (target.exists() and path.exists() and target.samefile(path)):
            raise ConfigurationError.of("FILE", "not be a file of the journal itself", str(file), "Name another to write to.")


def _opened(settings: JournalSettings, folder: Path) -> JournalStore:
    from fairlead.journal import open_store

    return open_store(settings.place(folder))


def _selection(
    kind: str | None, strategy: str | None, symbol: str | None, since: str | None
) -> Callable[[Iterator[Record]], Iterator[Record]]:
    from fairlead.contracts.cells import read_member
    from fairlead.core.instruments import check_symbol
    from fairlead.journal import Kind

    wanted = {
        "kind": None if kind is None else read_member("--kind", Kind, kind).value,
        "strategy": strategy,
        "symbol": None if symbol is None else check_symbol(symbol),
    }
    equal = [(name, value) for name, value in wanted.items() if value is not None]
    start_ns = None if since is None else _instant(since)

    def keep(records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            if all(getattr(record, name) == value for name, value in equal) and (start_ns is None or record.ts_ns >= start_ns):
                yield record

    return keep


def _instant(text: str) -> int:
    from fairlead.contracts.cells import read_instant
    from fairlead.core.time import NS_PER_DAY, date_to_day, to_ns

    if len(text) == _DATE:
        return date_to_day(date_option("--since", text)) * NS_PER_DAY
    return to_ns(read_instant("--since", text))


def _words(record: Record) -> str:
    """Return what a record tells, in the words of `fairlead replay` where it has some."""
    from fairlead.backtest.eventtext import EventWords
    from fairlead.contracts.files import canonical_json

    words, data = EventWords({}), record.data
    if record.kind == "fill":
        return words(data)
    if record.kind == "order" and "update" in data:
        return words(data["update"])
    if record.kind == "intent":
        wish = dict(data["wish"])
        named = {name: wish.pop(name) for name in ("symbol", "order_id") if name in wish}
        return words({"kind": data["kind"], "text": canonical_json(wish), **named})
    text = "; ".join(f"{name} {value}" for name, value in data.items() if value not in (None, "", {}, []))
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 3]}..."
