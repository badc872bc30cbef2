"""`fairlead demo`: a real backtest on real prices, and where to look at it."""

from __future__ import annotations

from typing import Annotated

import typer

from fairlead.cli.console import JsonFlag, WorkspaceOption, print_json, stdout


def demo(
    *,
    workspace: WorkspaceOption = None,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    json: JsonFlag = False,
) -> None:
    """Run a moving-average crossover over thirteen years of real daily prices and write the report.

    Needs no account, no server and no network: the prices come with Fairlead.
    """
    from fairlead.cli.backtest import load_session, run_and_write
    from fairlead.cli.summary import print_summary
    from fairlead.config.templates import template_path

    session = load_session(template_path("environments/backtest"), None, None, workspace)
    result, folder = run_and_write(session, quiet=json, command="fairlead demo")
    if json:
        print_json({**result.summary(), "path": str(folder), "report": str(folder / "report.html")})
    else:
        print_summary(result, folder)
        stdout().print("\n  Next: [bold]fairlead init my-desk[/] makes a folder to start your own from.", soft_wrap=True)
    if open_report:
        typer.launch(str(folder / "report.html"))
