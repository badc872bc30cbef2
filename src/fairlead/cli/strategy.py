"""`fairlead strategy`: what can be run, a new one, and whether one is fit to run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.console import EXIT_RUN_FAILED, JsonFlag, existing_file, print_json, print_table, say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """List, make and check strategies."""


@app.command("ls")
def ls(*, json: JsonFlag = False) -> None:
    """List the strategies that can be named in a configuration, with their parameters.

    Example: fairlead strategy ls
    """
    from rich.text import Text

    from fairlead.sdk.registry import known_strategies

    known = known_strategies()
    if json:
        print_json(
            {
                name: {"target": e.target, "version": e.version, "summary": e.summary, "schema": e.schema, "error": e.error}
                for name, e in known.items()
            }
        )
        return
    rows = []
    for name, entry in known.items():
        what = (
            Text(entry.error, "red") if entry.error else Text.assemble(entry.summary, "\n", (_parameters(entry.schema), "dim"))
        )
        rows.append((Text(name, "bold"), entry.version, what))
    print_table("", ("Strategy", "Version", "What it does, and its parameters"), rows)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the strategy, such as dip_buyer.", metavar="NAME", show_default=False)],
    *,
    folder: Annotated[
        Path,
        typer.Option(
            "--folder",
            help="Where strategies/ and tests/ are. Default: here.",
            metavar="DIR",
            show_default=False,
            readable=False,
        ),
    ] = Path(),
    json: JsonFlag = False,
) -> None:
    """Write a strategy that runs, and its test.

    Example: fairlead strategy new dip_buyer
    """
    from fairlead.config.project import write_strategy

    files = write_strategy(folder, name)
    if json:
        print_json({"files": [str(path) for path in files]})
        return
    for path in files:
        say("  [green]+[/] {path}", path=path)
    say("\n  Next: [bold]fairlead strategy check {path}[/]", path=files[0])
    say("  In a configuration: [bold]strategy: {path}[/]", path=files[0])


@app.command("check")
def check(
    reference: Annotated[
        str,
        typer.Argument(
            help="Registered name, package.module:Class, or path/to/file.py[:Class].", metavar="STRATEGY", show_default=False
        ),
    ],
    *,
    json: JsonFlag = False,
) -> None:
    """Refuse what would make a backtest lie: wall clock, files, sockets, unseeded chance. Exit 1 if there is any.

    Example: fairlead strategy check strategies/my_strategy.py
    """
    from fairlead.sdk.lint import lint_strategy
    from fairlead.sdk.registry import find_strategy

    # The file is read before it is imported: what the lint refuses must not run first.
    path = Path(reference.partition(":")[0])
    if path.suffix == ".py":
        findings = lint_strategy(existing_file(path, "strategy file", "Make one with: fairlead strategy new NAME"))
    else:
        findings = lint_strategy(find_strategy(reference))
    if not findings:
        find_strategy(reference)
    if json:
        print_json(
            [
                {
                    "file": f.filename,
                    "line": f.line,
                    "column": f.column,
                    "code": f.code,
                    "message": f.message,
                    "remedy": f.remedy,
                }
                for f in findings
            ]
        )
    elif findings:
        for f in findings:
            where = f"{f.filename}:{f.line}:{f.column}"
            say("[bold]{where}[/] [red]{code}[/] {text}", where=where, code=f.code, text=f"{f.message} {f.remedy}")
    else:
        say("[green]ok[/] {reference}", reference=reference)
    if findings:
        raise typer.Exit(EXIT_RUN_FAILED)


def _parameters(schema: dict[str, object]) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return "no parameters"
    return "  ".join(f"{name}={_shown(item['default'])}" if "default" in item else name for name, item in properties.items())


def _shown(value: object) -> str:
    # As one would write it in YAML.
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, list | tuple) else str(value)
