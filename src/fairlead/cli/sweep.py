"""`fairlead sweep CONFIG`: one strategy of a configuration with many parameter sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fairlead.cli.backtest import ConfigArgument, OverrideOption, ProfileOption, load_session
from fairlead.cli.console import (
    EXIT_RUN_FAILED,
    SYNTHETIC,
    JsonFlag,
    WorkspaceOption,
    error,
    note,
    print_json,
    print_table,
    progress,
    say,
)
from fairlead.cli.workers import PROCESSES, AddressOption, BackendOption, WorkersOption, apart

if TYPE_CHECKING:
    from fairlead.backtest.sweep_result import SweepResult
    from fairlead.backtest.sweeps import SweepPlan
    from fairlead.backtest.trials import TrialSetup

_COLUMNS = ("sharpe", "total_return", "max_drawdown_pct", "num_trades")
_INSTEAD: Final = {"num_trades": "num_fills"}
_SHOWN = 10


def sweep(
    config: ConfigArgument,
    *,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-P",
            help="Values of a parameter: fast=5:50:5, slow=50,100,200, or for random and Optuna search weight=0.1:1, "
            "decay=1e-4:1:log. Repeat it for more.",
            metavar="NAME=VALUES",
            show_default=False,
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", help="Which strategy varies, if the file has several.", metavar="NAME", show_default=False),
    ] = None,
    search: Annotated[str, typer.Option("--search", help="grid, random or optuna.", metavar="KIND")] = "grid",
    trials: Annotated[
        int | None,
        typer.Option("--trials", "-n", help="How many, for random and Optuna search.", metavar="N", show_default=False),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the search; that of the runs is the file's.", min=0, metavar="S")
    ] = 42,
    objective: Annotated[
        str, typer.Option("--objective", help="The metric that orders the trials.", metavar="METRIC")
    ] = "sharpe",
    workers: WorkersOption = None,
    backend: BackendOption = PROCESSES,
    address: AddressOption = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", help="Run what an interrupted sweep lacks: its id, or latest.", metavar="ID", show_default=False
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Run more than 1,000 trials without being asked.", metavar="")
    ] = False,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Run one strategy of a configuration with many parameter sets, and record every trial.

    Example: fairlead sweep configs/environments/backtest.yaml --param fast=10:60:10 --param slow=100:250:50 --workers 2
    """
    from fairlead.backtest.pools.compiled import warm_up
    from fairlead.backtest.sweep_result import KIND
    from fairlead.backtest.sweeps import run_sweep
    from fairlead.backtest.trialstore import TrialStore
    from fairlead.config.study import trial_setup
    from fairlead.engine.clock import WallClock

    session = load_session(config, profile, override, workspace)
    setup = trial_setup(session, strategy)
    plan = _plan(setup, param or [], search=search, trials=trials, seed=seed, objective=objective, resume=resume, yes=yes)
    with progress("compiling", quiet=json):
        warm_up(setup)
    with TrialStore(session.workspace) as store:
        planned = plan.opened().count if plan is not None else store.study(resume or "", KIND).planned
        with apart(), progress("sweep", planned, quiet=json) as tell:
            try:
                result = run_sweep(
                    setup,
                    plan,
                    store,
                    created_at=WallClock().now(),
                    resume=resume,
                    workers=workers,
                    backend=backend,
                    address=address,
                    progress=tell,
                    command=f"fairlead sweep {config.as_posix()}",
                )
            except KeyboardInterrupt:
                note(
                    "[yellow]stopped[/] what finished is kept. Go on with: fairlead sweep {config} --resume latest",
                    config=config,
                )
                raise
    with progress("pictures", quiet=json):
        folder = result.save()
    if json:
        print_json({**result.summary(), "path": str(folder)})
    else:
        _show(result, folder)
    if result.counts["completed"] == 0:
        reasons = [trial.reason for trial in result.trials.values()]
        error(f"no trial completed. The first: {reasons[0]}" if reasons else "there was no trial.")
        raise typer.Exit(EXIT_RUN_FAILED)


def _plan(
    setup: TrialSetup,
    texts: list[str],
    *,
    search: str,
    trials: int | None,
    seed: int,
    objective: str,
    resume: str | None,
    yes: bool,
) -> SweepPlan | None:
    from fairlead.backtest.space import ParameterSpace
    from fairlead.backtest.sweeps import MAX_UNASKED, SweepPlan, check_size
    from fairlead.core.errors import ConfigurationError

    if resume is not None and not texts:
        return None
    if not texts:
        names = ", ".join(setup.strategy.parameters) or "(none)"
        remedy = (
            f"{setup.strategy.name} takes {names}. For example --param {next(iter(setup.strategy.parameters), 'n')}=5:50:5."
        )
        raise ConfigurationError.of("--param", "be given at least once", "nothing", remedy)
    space = ParameterSpace.parse(texts, setup.strategy.parameters, setup.strategy.name)
    plan = SweepPlan(space=space, search=search, trials=trials, seed=seed, objective=objective)
    count = plan.opened().count
    if not yes:
        remedy = "Add --yes if you mean it, take larger steps, or draw some: --search random --trials 200."
        check_size(count, MAX_UNASKED, remedy)
    return plan


def _show(result: SweepResult, folder: Path) -> None:
    from fairlead.backtest.objectives import natural

    counts = result.counts
    told = ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
    mark = f"  {SYNTHETIC}" if result.study.synthetic else ""
    say(f"[bold]{{title}}[/]{mark}", title=result.study.title)
    say(
        "  {strategy} on {dataset}: {told}",
        strategy=result.study.strategy,
        dataset=result.study.dataset,
        told=told or "no trial",
    )
    names = list(result.space.axes)
    best = result.best
    # Trials of the compiled loop have no round trips to count.
    columns = [_INSTEAD.get(name, name) if best is not None and name not in best.metrics else name for name in _COLUMNS]
    metrics = [result.objective, *(name for name in columns if name != result.objective)]
    rows = []
    for place, ordinal in enumerate(result.ranking[:_SHOWN], start=1):
        trial = result.trials[ordinal]
        shown = [natural(result.objective, result.values[ordinal]), *(trial.metrics.get(name) for name in metrics[1:])]
        params = [_cell(trial.params[name]) for name in names]
        rows.append([str(place), *params, *(_metric(n, v) for n, v in zip(metrics, shown, strict=True)), str(ordinal)])
    if rows:
        headings = ["", *names, *(name.replace("_", " ") for name in metrics), "trial"]
        print_table("", headings, rows, right=headings)
    for warning in result.warnings:
        say("  [yellow]![/] {warning}", warning=warning)
    say("  sweep      {id}", id=result.id)
    say("  written to {folder}", folder=folder)


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _metric(name: str, value: float | None) -> str:
    if value is None:
        return "n/a"
    if name in ("total_return", "annualised_return", "cagr"):
        return f"{value:+.2%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
