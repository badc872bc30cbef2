"""`fairlead runs`: what was run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fairlead.cli.console import JsonFlag, WorkspaceOption, print_json, print_table, stdout, workspace_of

app = typer.Typer(help="List, show and open finished runs.", no_args_is_help=True)

RunArgument = Annotated[str, typer.Argument(help="Run id, 'latest', or a run directory.", show_default=False)]


@app.command("ls")
def ls(*, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """List the runs of the workspace, the newest first."""
    from fairlead.backtest.library import list_runs

    runs = list_runs(workspace_of(workspace))
    if json:
        print_json(runs)
        return
    if not runs:
        stdout().print("No runs yet. Make one: fairlead demo")
        return
    rows = [
        (
            run["run_id"],
            ("SYNTHETIC " if run["synthetic"] else "") + str(run["title"]),
            run["status"],
            f"{run['start']} to {run['end']}",
            _number(run["metrics"].get("total_return"), "{:+.1%}"),
            _number(run["metrics"].get("sharpe"), "{:.2f}"),
            _number(run["metrics"].get("max_drawdown_pct"), "{:.1f} %"),
            str(run["digest"])[:8],
        )
        for run in runs
    ]
    columns = ("Run", "Title", "Status", "Span", "Return", "Sharpe", "Drawdown", "Digest")
    print_table("", columns, rows, right=("Return", "Sharpe", "Drawdown"))


@app.command("show")
def show(run: RunArgument, *, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """Show one run: every metric, its strategies and where it came from."""
    from fairlead.backtest.library import find_run

    result = find_run(workspace_of(workspace), run)
    if json:
        print_json({**result.summary(), "info": result.info.to_dict()})
        return
    rows = [(name, "n/a" if value is None else f"{value:,.6g}") for name, value in result.metrics.items()]
    print_table(f"{result.info.title} ({result.run_id})", ("Metric", "Value"), rows, right=("Value",))
    info = result.info
    origin = [
        ("dataset", info.dataset + (" (SYNTHETIC)" if info.synthetic else "")),
        ("span", f"{info.start} to {info.end}"),
        ("digest", result.digest),
        ("config", info.config_hash),
        ("code", info.code_hash),
        ("data", info.dataset_hash),
    ]
    print_table("Provenance", ("What", "Value"), origin)


@app.command("open")
def open_run(run: RunArgument, *, workspace: WorkspaceOption = None, json: JsonFlag = False) -> None:
    """Open a run's report in a browser; print where it is."""
    from fairlead.backtest.library import run_folder
    from fairlead.core.errors import DataNotFound

    path = run_folder(workspace_of(workspace), run) / "report.html"
    if not path.is_file():
        raise DataNotFound(f"no report at {path}. Make one: fairlead report {run}")
    if json:
        print_json({"report": str(path)})
        return
    stdout().print(str(path), soft_wrap=True)
    typer.launch(str(path))


def _number(value: Any, pattern: str) -> str:
    return "n/a" if value is None else pattern.format(value)
