"""How the command line speaks: tables for people, JSON for machines, one clear line for an error."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.core.errors import ConfigurationError, ContractError, DataError, FairleadError

if TYPE_CHECKING:
    from rich.console import Console

EXIT_RUN_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2
# Progress appears only once the work has shown that it is long.
PROGRESS_AFTER_S: Final = 2.0
PIPE_COLUMNS: Final = 160

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", help="Folder of data and runs. Default: $FAIRLEAD_HOME, else ./artifacts.", show_default=False
    ),
]


def stdout() -> Console:
    """Return the console for results."""
    from rich.console import Console

    # A pipe has no width of its own; 80 columns would fold every table that a script reads.
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def stderr() -> Console:
    """Return the console for errors and progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def fail(exc: FairleadError) -> int:
    """Print an error and return its exit code: 2 for what the user gave, 1 for what went wrong in a run."""
    stderr().print(f"[bold red]error:[/] {_escaped(str(exc))}", soft_wrap=True)
    bad_input = isinstance(exc, (ConfigurationError, ContractError, DataError))
    return EXIT_BAD_INPUT if bad_input else EXIT_RUN_FAILED


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output; NaN and infinities become null."""
    from fairlead.contracts.files import canonical_json

    sys.stdout.write(json.dumps(json.loads(canonical_json(value)), indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows as a table; columns named in `right` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(str(cell)) for cell in row))
    stdout().print(table)


def environ() -> dict[str, str]:
    """Return the environment; the only place in the package where the command line reads it."""
    return dict(os.environ)


def workspace_of(chosen: Path | None) -> Path:
    """Return the workspace: the option, else the environment, else ./artifacts."""
    from fairlead.contracts.workspace import workspace_folder

    return workspace_folder(environ(), chosen)


@contextmanager
def progress(title: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how much is done; show a bar with the time left if it takes over two seconds.

    Silent when `quiet`, or when standard error is not a terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=stderr(), transient=True)
    task = bar.add_task(title, total=total or None)
    began = time.monotonic()
    started = False

    def tell(done: int) -> None:
        nonlocal started
        if not started and time.monotonic() - began > PROGRESS_AFTER_S:
            started = True
            bar.start()
        bar.update(task, completed=done)

    try:
        yield tell
    finally:
        if started:
            bar.stop()


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
