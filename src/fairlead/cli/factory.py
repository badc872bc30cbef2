"""`fairlead factory`: the signal factory, from minutes to a run directory in one command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.backtest import ConfigArgument, OverrideOption, ProfileOption
from fairlead.cli.console import (
    EXIT_BAD_INPUT,
    EXIT_RUN_FAILED,
    SYNTHETIC,
    JsonFlag,
    WorkspaceOption,
    environ,
    error,
    existing_file,
    note,
    print_json,
    print_table,
    progress,
    say,
    workspace_of,
)

if TYPE_CHECKING:
    from fairlead.core.errors import FairleadError
    from fairlead.factory.line import FactoryResult, Line
    from fairlead.factory.steps import Progress, Step, Steps

app = typer.Typer(no_args_is_help=True)

_SHOWN: Final = (
    ("Trades", "num_trades", "{:,}"),
    ("Net P&L", "net_pnl", "{:+,.2f}"),
    ("Final cash", "final_cash", "{:,.2f}"),
    ("Win rate", "win_rate", "{:.1%}"),
    ("Profit factor", "profit_factor", "{:.2f}"),
    ("Sharpe", "sharpe", "{:.2f}"),
    ("Max drawdown", "max_drawdown_pct", "{:.2f}%"),
    ("Fees", "total_fees", "{:,.2f}"),
    ("Slippage", "total_slippage", "{:,.2f}"),
)

_MOST: Final = 3
"""Reasons that a table shows of a stage; the run's steps have all."""


@app.callback()
def _group() -> None:
    """Minutes to signals to orders to trades, in stages that hand each other files."""


@app.command("init")
def init(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.", metavar="FILE", readable=False)] = Path(
        "factory.yaml"
    ),
    *,
    json: JsonFlag = False,
) -> None:
    """Write a configuration that runs as it is, on synthetic minutes.

    Example: fairlead factory init factory.yaml
    """
    from fairlead.config.templates import factory_template_text
    from fairlead.contracts.files import atomic_write_text
    from fairlead.core.errors import ConfigurationError

    if file.exists():
        raise ConfigurationError.of("FILE", "be new", str(file), "Choose another name.")
    atomic_write_text(file, factory_template_text())
    if json:
        print_json({"file": str(file)})
        return
    say("  [green]+[/] {file}\n\n  Next: [bold]fairlead factory run {file}[/]", file=file)


@app.command("run")
def run(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Run every stage of a line and write its run directory; exit 1 if the data is refused or a stage fails.

    Example: fairlead factory run configs/factory_insidebar.yaml -o candidates.max_candidates=5
    """
    from fairlead.core.errors import FairleadError
    from fairlead.factory.steps import Steps

    line = open_line(config, profile, override, workspace)
    line.check_name()
    with _stage_bars(quiet=json) as tell:
        steps = Steps(tell)
        failure: FairleadError | None = None
        try:
            result = line.run(steps)
        except FairleadError as exc:
            failure = exc
    if failure is not None:
        _fail(line, steps, failure, json=json)
    if json:
        print_json(_facts(line, steps.done, result))
    else:
        _show(line, result)


@app.command("check")
def check(
    config: ConfigArgument,
    *,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Check the data of a line as its first stage does, and run nothing else; exit 1 if it is refused.

    Example: fairlead factory check configs/factory_insidebar.yaml
    """
    from fairlead.factory.findings import DataRefused
    from fairlead.factory.steps import Steps

    line = open_line(config, profile, override, workspace)
    refused: DataRefused | None = None
    with _stage_bars(quiet=json) as tell:
        steps = Steps(tell)
        try:
            bars = line.check_data(steps)
        except DataRefused as exc:
            refused = exc
    if refused is not None:
        _fail(line, steps, refused, json=json, ran=False)
    if json:
        print_json({"passed": True, "steps": _plain(steps.done), "warnings": bars.warnings, "quality": str(_quality(line))})
        return
    _print_steps(line, steps.done)
    _warn(bars.warnings)
    say("[green]ok[/] {n} symbols pass. Their quality is in {folder}", n=len(bars.signal), folder=_quality(line))


def open_line(config: Path, profile: str | None, override: list[str] | None, workspace: Path | None) -> Line:
    """Load a configuration and find its data."""
    from fairlead.config.factory import load_factory
    from fairlead.core.errors import ConfigurationError, DataError
    from fairlead.engine.clock import WallClock
    from fairlead.factory.line import Line
    from fairlead.factory.sources import open_minutes

    existing_file(config, "configuration file", "Make one to start from with: fairlead factory init FILE")
    loaded = load_factory(config, environ=environ(), profile=profile, overrides=tuple(override or ()))
    folder = workspace_of(workspace if workspace is not None else loaded.settings.workspace)
    try:
        minutes = open_minutes(loaded.settings.data, folder)
    except (ConfigurationError, DataError) as exc:
        raise loaded.problem(("data",), exc) from exc
    return Line(loaded.settings, minutes, loaded.effective, loaded.hash, folder, WallClock().now())


@contextmanager
def _stage_bars(*, quiet: bool) -> Iterator[Progress]:
    """Give a function that is told of stages; each has a bar of its own, with the time left where its extent is known."""
    shown: tuple[str, int] = ("", 0)
    update: Callable[[int], Any] = int
    with ExitStack() as stack:

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal shown, update
            if (stage, total) != shown:
                stack.close()
                shown, update = (stage, total), stack.enter_context(progress(stage, total, quiet=quiet))
            update(done)

        yield tell


def _fail(line: Line, steps: Steps, failure: FairleadError, *, json: bool, ran: bool = True) -> None:
    """Say why a line stopped and where, and exit: with 2 if the data showed the configuration to be wrong, else with 1."""
    from fairlead.backtest.replay import status_of_failure
    from fairlead.core.errors import ConfigurationError
    from fairlead.factory.findings import DataRefused

    findings = failure.as_json() if isinstance(failure, DataRefused) else []
    folder = line.run_folder
    if json:
        facts = {
            "passed": False,
            "status": status_of_failure(failure),
            "reason": str(failure),
            "findings": findings,
            "steps": _plain(steps.done),
        }
        print_json({**facts, **({"run_id": line.run_id, "path": str(folder)} if ran else {})})
    else:
        _print_steps(line, steps.done)
    error(str(failure))
    if ran:
        note("  [dim]recorded in {folder}[/]", folder=folder)
    raise typer.Exit(EXIT_BAD_INPUT if isinstance(failure, ConfigurationError) else EXIT_RUN_FAILED)


def _facts(line: Line, steps: Sequence[Step], result: FactoryResult) -> dict[str, Any]:
    return {
        "run_id": result.run_id,
        "status": "SUCCESS",
        "synthetic": line.minutes.synthetic,
        "steps": _plain(steps),
        "metrics": result.replay.metrics,
        "warnings": result.warnings,
        "path": str(result.run_folder),
        "handed": str(result.handed),
    }


def _plain(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [dict(step.as_json(seq)) for seq, step in enumerate(steps)]


def _show(line: Line, result: FactoryResult) -> None:
    _print_steps(line, result.steps)
    metrics = result.replay.metrics
    rows = [(label, "n/a" if (value := metrics.get(key)) is None else form.format(value)) for label, key, form in _SHOWN]
    print_table("", ("Metric", "Value"), rows, right=("Value",))
    _warn(result.warnings)
    say("  [dim]run[/]         {id}", id=result.run_id)
    say("  [dim]written to[/]  {folder}", folder=result.run_folder)
    say("  [dim]handed on[/]   {folder}", folder=result.handed)


def _print_steps(line: Line, steps: Sequence[Step]) -> None:
    mark = f"  {SYNTHETIC}" if line.minutes.synthetic else ""
    say(f"[bold]{{title}}[/]{mark}", title=line.settings.name)
    rows = [(step.name, f"{step.rows_in:,}", f"{step.rows_out:,}", f"{step.seconds:.2f}", _detail(step)) for step in steps]
    print_table("", ("Stage", "In", "Out", "Seconds", ""), rows, right=("In", "Out", "Seconds"), whole=("Stage",))


def _detail(step: Step) -> str:
    if step.status != "ok":
        return step.status
    told = []
    for name, value in step.detail.items():
        if isinstance(value, dict):
            most = sorted(value.items(), key=lambda item: (-item[1], item[0]))
            told += [f"{count:,} {reason}" for reason, count in most[:_MOST]] + (["..."] if len(most) > _MOST else [])
        elif isinstance(value, int) and not isinstance(value, bool) and value:
            told.append(f"{value:,} {name}")
    return ", ".join(told)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        note("[yellow]![/] {warning}", warning=warning)


def _quality(line: Line) -> Path:
    from fairlead.contracts.quality.record import QUALITY_FOLDER

    return line.workspace / QUALITY_FOLDER
