"""`fairlead runs`: what was run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import (
    SYNTHETIC,
    JsonFlag,
    WorkspaceOption,
    new_table,
    open_in_browser,
    print_json,
    print_table,
    say,
    stdout,
    workspace_of,
)

if TYPE_CHECKING:
    from rich.text import Text

    from fairlead.backtest.result import Result

app = typer.Typer(no_args_is_help=True)

_WIDE: Final = 96

RunArgument = Annotated[
    str,
    typer.Argument(
        help="Run id or its beginning, 'latest', a title, or a run directory.",
        metavar="RUN",
        show_default=False,
    ),
]


@app.callback()
def _group() -> None:
    """List, show and open finished runs."""


@app.command("ls")
def ls(*, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """List the runs of the workspace, the newest first.

    The short names are enough wherever a run is asked for; --json has the full ones.

    Example: fairlead runs ls
    """
    from fairlead.backtest.library import list_runs

    folder = workspace_of(workspace)
    runs = list_runs(folder)
    if json:
        print_json(runs)
        return
    if not runs:
        say("No runs yet in {folder}. Make one: [bold]fairlead demo[/]", folder=folder)
        return
    names = short_names([str(run["run_id"]) for run in runs])
    rows = [
        (
            names[i],
            _title(run),
            f"{run['start']} {run['end']}",
            _number(run["metrics"].get("total_return"), "{:+,.1%}"),
            _number(run["metrics"].get("sharpe"), "{:.2f}"),
            _number(run["metrics"].get("max_drawdown_pct"), "{:.1f}%"),
            str(run["digest"])[:8],
        )
        for i, run in enumerate(runs)
    ]
    columns = ("Run", "Title", "From, to", "Return", "Sharpe", "Drawdown", "Digest")
    # On a narrow terminal the title needs the room more than the dates do.
    whole = ("Run", "Digest", "From, to") if stdout().width >= _WIDE else ("Run", "Digest")
    print_table("", columns, rows, right=("Return", "Sharpe", "Drawdown"), whole=whole)


@app.command("show")
def show(run: RunArgument, *, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """Show one run: every metric, its strategies and where it came from.

    Example: fairlead runs show latest
    """
    from rich.columns import Columns

    from fairlead.backtest.library import find_run
    from fairlead.backtest.report.sections import METRIC_GROUPS

    result = find_run(workspace_of(workspace), run)
    if json:
        print_json({**result.summary(), "info": result.info.to_dict()})
        return
    label = f"{SYNTHETIC} " if result.info.synthetic else ""
    say(f"{label}[bold]{{title}}[/] [dim]{{run}}[/]\n", title=result.info.title, run=result.run_id)
    tables = []
    for title, entries in METRIC_GROUPS:
        table = new_table(title)
        table.show_header = False
        table.add_column(style="dim", min_width=29)
        table.add_column(justify="right", min_width=14)
        for key, name, shown in entries:
            if key in result.metrics:  # what a run has nothing of is not shown
                table.add_row(name, shown(result.metrics[key]))
        tables.append(table)
    console = stdout()
    for left, right in zip(tables[::2], tables[1::2], strict=True):
        console.print(Columns((left, right), padding=(0, 4)))
        say()
    _print_strategies(result)
    _print_origin(result)
    for warning in result.warnings:
        say("[yellow]![/] {warning}", warning=warning)


@app.command("open")
def open_run(run: RunArgument, *, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """Open a run's report in a browser; print where it is.

    Example: fairlead runs open latest
    """
    from fairlead.backtest.library import run_folder
    from fairlead.core.errors import DataNotFound

    path = run_folder(workspace_of(workspace), run) / "report.html"
    if not path.is_file():
        raise DataNotFound(f"no report at {path}. Make one: fairlead report {run}")
    if json:
        print_json({"report": str(path)})
    else:
        say("{path}", path=path)
    open_in_browser(path)


def short_names(run_ids: Sequence[str]) -> list[str]:
    """Return for each run what is enough to name it: kind and time, or all of it where two began in one second."""
    heads = ["_".join(run_id.split("_")[:2]) for run_id in run_ids]
    return [head if sum(other.startswith(head) for other in run_ids) == 1 else run_ids[i] for i, head in enumerate(heads)]


def _print_strategies(result: Result) -> None:
    rows = [
        (
            s.name,
            s.version,
            f"{s.capital:,.2f}",
            ", ".join(f"{key}={value}" for key, value in s.params.items()),
            _status("SUCCESS" if s.status == "completed" else "ERROR"),
        )
        for s in result.record.strategies
    ]
    print_table("Strategies", ("Name", "Version", "Capital", "Parameters", ""), rows, right=("Capital",))
    say()


def _print_origin(result: Result) -> None:
    info = result.info
    rows = [
        (
            "dataset",
            f"{info.dataset}{' (SYNTHETIC)' if info.synthetic else ''}, {len(info.symbols)} symbols of {info.bar_size}",
        ),
        ("span", f"{info.start} to {info.end}"),
        ("made", f"{info.created_at}, seed {info.seed}"),
        ("digest", result.digest),
        ("config", info.config_hash),
        ("code", info.code_hash),
        ("data", info.dataset_hash),
    ]
    print_table("Where it came from", ("What", "Value"), rows)
    say()


def _title(run: dict[str, Any]) -> Text:
    from rich.text import Text

    title = Text()
    if run["status"] != "SUCCESS":
        title.append(f"{run['status']} ", "bold red")
    if run["synthetic"]:
        title.append("SYNTHETIC", "black on yellow").append(" ")
    return title.append(str(run["title"]))


def _status(status: str) -> Text:
    from rich.text import Text

    return Text("ok", "green") if status == "SUCCESS" else Text(status, "bold red")


def _number(value: Any, pattern: str) -> str:
    return "n/a" if value is None else pattern.format(value)
