"""`fairlead journal`: what paper and live sessions wrote down."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    JsonFlag,
    WorkspaceOption,
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
            help="File with the newest hash. Default: journal.head beside the journal.",
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


def _opened(settings: JournalSettings, folder: Path) -> JournalStore:
    from fairlead.journal import open_store

    return open_store(settings.place(folder))


class _selection:  # noqa: N801  a function that has been given its filters
    """Keeps the records that were asked for."""

    def __init__(self, kind: str | None, strategy: str | None, symbol: str | None, since: str | None) -> None:
        from fairlead.contracts.cells import read_member
        from fairlead.core.instruments import check_symbol
        from fairlead.journal import Kind

        self._kind = None if kind is None else read_member("--kind", Kind, kind)
        self._strategy = strategy
        self._symbol = None if symbol is None else check_symbol(symbol)
        self._since = None if since is None else _instant(since)

    def __call__(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            if (
                (self._kind is None or record.kind == self._kind)
                and (self._strategy is None or record.strategy == self._strategy)
                and (self._symbol is None or record.symbol == self._symbol)
                and (self._since is None or record.ts_ns >= self._since)
            ):
                yield record
