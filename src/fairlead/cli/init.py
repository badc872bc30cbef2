"""`fairlead init DIR`: a folder to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.console import JsonFlag, print_json, say


def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR", show_default=False, readable=False)],
    *,
    json: JsonFlag = False,
) -> None:
    """Make a folder with configurations, a strategy of your own, and its test.

    Example: fairlead init my-desk
    """
    from fairlead.config.project import STRATEGY, write_project

    files = write_project(folder)
    if json:
        print_json({"folder": str(folder), "files": [str(path) for path in files]})
        return
    for path in files:
        say("  [green]+[/] {path}", path=path)
    say("\n  Next:")
    if folder.resolve() != Path.cwd():
        say("    [bold]cd {folder}[/]", folder=folder)
    say("    [bold]fairlead backtest configs/{name}.yaml[/]   run it", name=STRATEGY)
    say("    [bold]$EDITOR strategies/{name}.py[/]            make it yours", name=STRATEGY)
