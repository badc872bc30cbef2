"""`fairlead init DIR`: a folder to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.console import JsonFlag, print_json, stdout


def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)],
    *,
    json: JsonFlag = False,
) -> None:
    """Make a folder with configurations for backtest, paper and live, a strategy of your own, and its test."""
    from fairlead.config.project import write_project

    files = write_project(folder)
    if json:
        print_json({"folder": str(folder), "files": [str(path) for path in files]})
        return
    console = stdout()
    for path in files:
        console.print(f"  [green]+[/] {path}", soft_wrap=True)
    console.print(f"\n  Next: [bold]cd {folder}[/], then [bold]fairlead backtest configs/my_strategy.yaml[/]", soft_wrap=True)
