"""`fairlead demo`: a real backtest on real prices, and where to look at it."""

from __future__ import annotations

from fairlead.cli.console import JsonFlag, OpenFlag, WorkspaceOption, say


def demo(*, workspace: WorkspaceOption = None, open_report: OpenFlag = False, json: JsonFlag = False) -> None:
    """Run a moving-average crossover over thirteen years of real daily prices.

    Needs no account, no server and no network: the prices come with Fairlead. It prints where the report is.

    Example: fairlead demo --open
    """
    from fairlead.cli.backtest import fail_if_stopped, load_session, run_and_write, show
    from fairlead.config.templates import template_path

    session = load_session(template_path("environments/backtest"), None, None, workspace)
    result, folder = run_and_write(session, quiet=json, command="fairlead demo")
    show(result, folder, json=json, open_report=open_report)
    fail_if_stopped(result)
    if not json:
        say("\n  Next: [bold]fairlead init my-desk[/] makes a folder to start your own from.")
