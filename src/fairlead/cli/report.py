"""`fairlead report RUN`: render a run's report again, anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.console import (
    SYNTHETIC,
    JsonFlag,
    OpenFlag,
    WorkspaceOption,
    note,
    open_in_browser,
    print_json,
    say,
    workspace_of,
)
from fairlead.cli.runs import RunArgument


def report(
    run: RunArgument,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-O", help="Where to write it. Default: RUN.html here.", metavar="FILE", readable=False),
    ] = None,
    workspace: WorkspaceOption = None,
    open_report: OpenFlag = False,
    json: JsonFlag = False,
) -> None:
    """Write the self-contained HTML report of a finished run.

    Example: fairlead report latest -O report.html --open
    """
    from fairlead.backtest.library import find_run

    result = find_run(workspace_of(workspace), run)
    target = output or Path(f"{result.run_id}.html")
    path = Path(result.to_html(target / f"{result.run_id}.html" if target.is_dir() else target))
    if json:
        print_json({"run_id": result.run_id, "synthetic": result.info.synthetic, "report": str(path)})
    else:
        if result.info.synthetic:
            note(f"{SYNTHETIC} nothing in this report is evidence about a market.")
        say("{path}", path=path)
    if open_report:
        open_in_browser(path)
