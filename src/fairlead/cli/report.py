"""`fairlead report RUN`: render a run's report again, anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.console import JsonFlag, WorkspaceOption, print_json, stdout, workspace_of


def report(
    run: Annotated[str, typer.Argument(help="Run id, 'latest', or a run directory.", show_default=False)],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-O", help="Where to write it. Default: RUN.html here.")] = None,
    workspace: WorkspaceOption = None,
    open_report: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    json: JsonFlag = False,
) -> None:
    """Write the self-contained HTML report of a finished run."""
    from fairlead.backtest.library import find_run

    result = find_run(workspace_of(workspace), run)
    path = Path(result.to_html(output or Path(f"{result.run_id}.html")))
    if json:
        print_json({"run_id": result.run_id, "report": str(path)})
    else:
        stdout().print(str(path), soft_wrap=True)
    if open_report:
        typer.launch(str(path))
