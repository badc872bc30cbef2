"""How the command line speaks: tables for people, JSON for machines, one clear line for an error."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import os
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, FairleadError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

EXIT_RUN_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2
# Progress appears only once the work has shown that it is long.
PROGRESS_AFTER_S: Final = 2.0
PIPE_COLUMNS: Final = 160
SYNTHETIC: Final = "[black on yellow] SYNTHETIC [/]"

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.", metavar="")]
OpenFlag = Annotated[bool, typer.Option("--open", help="Open the report in a browser.", metavar="")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        help="Folder of data and runs. Default: $FAIRLEAD_HOME, else ./artifacts.",
        metavar="DIR",
        show_default=False,
        readable=False,  # said by ourselves, as every other error
    ),
]


def stdout() -> Console:
    """Return the console for results."""
    from rich.console import Console

    # A pipe has no width of its own; 80 columns would fold every table that a script reads.
    own_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, emoji=False, width=None if own_width else PIPE_COLUMNS)


def stderr() -> Console:
    """Return the console for errors and progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def say(template: str = "", /, **values: object) -> None:
    """Print a line of markup on standard output; `values` are text, whatever brackets they hold."""
    stdout().print(_filled(template, values), soft_wrap=True)


def note(template: str, /, **values: object) -> None:
    """Print a line of markup on standard error; `values` as in `say`."""
    stderr().print(_filled(template, values), soft_wrap=True)


def error(text: str) -> None:
    """Print an error on standard error; lines after its first stand under it."""
    indent = " " * len("error: ")
    if sys.stderr.isatty():
        # At words, which a terminal would cut; never inside a path, which one may want to copy.
        fill = textwrap.TextWrapper(stderr().width - len(indent), break_long_words=False, break_on_hyphens=False)
        text = "\n".join("\n".join(fill.wrap(line)) for line in text.splitlines())
    note("[bold red]error:[/] {text}", text=text.replace("\n", f"\n{indent}"))


def fail(exc: FairleadError) -> int:
    """Print an error and return its exit code: 2 for what the user gave, 1 for what went wrong in a run."""
    error(str(exc))
    bad_input = isinstance(exc, (ConfigurationError, ContractError, DataError))
    return EXIT_BAD_INPUT if bad_input else EXIT_RUN_FAILED


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output; NaN and infinities become null."""
    from fairlead.contracts.files import canonical_json

    sys.stdout.write(json.dumps(json.loads(canonical_json(value)), indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print rows as a table. A `rich.text.Text` cell keeps its style.

    Parameters
    ----------
    title : str
    columns : sequence of str
    rows : iterable of cells
    right : sequence of str
        Columns that are aligned to the right.
    whole : sequence of str
        Columns that are never folded, such as names to copy.
    """
    from rich.text import Text

    table = new_table(title)
    for column in columns:
        is_number = column in right
        table.add_column(
            column, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number or column in whole
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    stdout().print(table)


def new_table(title: str = "") -> Table:
    """Return an empty table in the one style of the command line."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def environ() -> dict[str, str]:
    """Return the environment; the only place in the package where the command line reads it."""
    return dict(os.environ)


def workspace_of(chosen: Path | None) -> Path:
    """Return the workspace: the option, else the environment, else ./artifacts.

    Raises
    ------
    ConfigurationError
        If there is a file of that name.
    """
    from fairlead.contracts.workspace import workspace_folder

    folder = workspace_folder(environ(), chosen)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError.of("workspace", "be a folder", str(folder), "Name another with --workspace or FAIRLEAD_HOME.")
    return folder


def existing_file(path: Path, what: str, remedy: str) -> Path:
    """Return `path`.

    Raises
    ------
    DataNotFound
        If it is no file; the message offers the nearest name in its folder.
    """
    if path.is_file():
        return path
    if path.is_dir():
        raise DataNotFound(f"{path} is a folder, not a {what}. Name a file in it.")
    names = [item.name for item in path.parent.iterdir() if item.is_file()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    raise DataNotFound(f"there is no {what} {path}. {f'Did you mean {path.parent / near[0]}?' if near else remedy}")


def date_option(option: str, text: str) -> dt.date:
    """Return the date that an option gives.

    Raises
    ------
    ConfigurationError
        If it is none.
    """
    try:
        return dt.date.fromisoformat(text)
    except ValueError as exc:
        raise ConfigurationError.of(option, "be a date like 2024-01-31", text) from exc


def open_in_browser(path: Path) -> None:
    """Open a file with the program that the machine has for it; say so if there is none."""
    if typer.launch(str(path.absolute())) != 0:
        note("[yellow]![/] no browser could be started. Open it yourself: {path}", path=path.absolute())


@contextmanager
def progress(title: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how much is done; show a bar with the time left if it takes over two seconds.

    Without a `total` the bar only shows that something moves, and for how long. Silent when `quiet`, or when standard error is
    not a terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    if total:
        columns[2:2] = [MofNCompleteColumn()]
        columns.append(TimeRemainingColumn())
    bar = Progress(*columns, console=stderr(), transient=True)
    task = bar.add_task(title, total=total or None)
    # A timer, because work that takes long may have nothing to tell for a while.
    timer = threading.Timer(PROGRESS_AFTER_S, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done: bar.update(task, completed=done)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _filled(template: str, values: dict[str, object]) -> str:
    from rich.markup import escape

    return template.format(**{name: escape(str(value)) for name, value in values.items()})
