"""`fairlead strategy`: what can be run, a new one, and whether one is fit to run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.console import EXIT_RUN_FAILED, JsonFlag, print_json, print_table, stdout

app = typer.Typer(help="List, make and check strategies.", no_args_is_help=True)


@app.command("ls")
def ls(*, json: JsonFlag = False) -> None:
    """List the strategies that can be named in a configuration."""
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
        properties = entry.schema.get("properties", {})
        defaults = properties.items() if isinstance(properties, dict) else ()
        rows.append((name, entry.version, entry.error or entry.summary, ", ".join(f"{k}={v['default']}" for k, v in defaults)))
    print_table("", ("Strategy", "Version", "What it does", "Parameters"), rows)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the strategy, such as dip_buyer.", show_default=False)],
    *,
    folder: Annotated[Path, typer.Option("--folder", help="Where strategies/ and tests/ are.")] = Path(),
    json: JsonFlag = False,
) -> None:
    """Write a strategy that runs, and its test."""
    from fairlead.contracts.files import atomic_write_text
    from fairlead.core.errors import ConfigurationError
    from fairlead.core.identity import slug
    from fairlead.sdk.scaffold import new_strategy_source, new_strategy_test_source

    stem = slug(name)
    texts = {
        folder / "strategies" / f"{stem}.py": new_strategy_source(stem),
        folder / "tests" / f"test_{stem}.py": new_strategy_test_source(stem),
    }
    for path in texts:
        if path.exists():
            raise ConfigurationError.of("name", "be new", name, f"{path} exists; choose another name.")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, text)
    if json:
        print_json({"files": [str(path) for path in texts]})
        return
    for path in texts:
        stdout().print(f"  [green]+[/] {path}", soft_wrap=True)


@app.command("check")
def check(
    reference: Annotated[
        str, typer.Argument(help="Registered name, package.module:Class, or path/to/file.py[:Class].", show_default=False)
    ],
    *,
    json: JsonFlag = False,
) -> None:
    """Read a strategy's source and refuse what would make a backtest lie: wall clock, files, sockets, unseeded chance."""
    from fairlead.sdk.lint import lint_strategy
    from fairlead.sdk.registry import find_strategy

    # The file is read before it is imported: what the lint refuses must not run first.
    path = Path(reference.partition(":")[0])
    findings = lint_strategy(path if path.suffix == ".py" else find_strategy(reference))
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
            stdout().print(f"[bold]{f.filename}:{f.line}:{f.column}[/] [red]{f.code}[/] {f.message} {f.remedy}", soft_wrap=True)
    else:
        stdout().print(f"[green]ok[/] {reference}")
    if findings:
        raise typer.Exit(EXIT_RUN_FAILED)
