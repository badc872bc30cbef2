"""`fairlead walkforward CONFIG`: choose parameters on the past, trade them on what follows, fold after fold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.backtest import ConfigArgument, OverrideOption, ProfileOption, load_session
from fairlead.cli.console import SYNTHETIC, JsonFlag, WorkspaceOption, note, print_json, print_table, progress, say
from fairlead.cli.workers import PROCESSES, AddressOption, BackendOption, WorkersOption, apart

if TYPE_CHECKING:
    from fairlead.backtest.walkforward import FoldOutcome, WalkForwardResult

_NO_NUMBER = "-"
MOST_RUNS: Final = 10_000
"""More than this have to be asked for in so many words."""


def walkforward(
    config: ConfigArgument,
    *,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-P",
            help="Values to try: fast=5:50:5 or slow=50,100; may be repeated.",
            metavar="NAME=VALUES",
            show_default=False,
        ),
    ] = None,
    train: Annotated[int, typer.Option("--train", help="Sessions of a training window.", metavar="N")] = 504,
    test: Annotated[int, typer.Option("--test", help="Sessions of a test window.", metavar="N")] = 63,
    anchored: Annotated[
        bool, typer.Option("--anchored", help="Train from the first session on, instead of moving along.", metavar="")
    ] = False,
    purge: Annotated[
        int, typer.Option("--purge", help="Sessions removed from the end of each training window.", metavar="N")
    ] = 0,
    embargo: Annotated[
        int, typer.Option("--embargo", help="Sessions after an earlier test window with which no training begins.", metavar="N")
    ] = 0,
    objective: Annotated[str, typer.Option("--objective", help="Metric to choose by.", metavar="METRIC")] = "sharpe",
    search: Annotated[str, typer.Option("--search", help="grid or random.", metavar="KIND")] = "grid",
    trials: Annotated[
        int | None,
        typer.Option("--trials", "-n", help="How many parameter sets a random search draws.", metavar="N", show_default=False),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the search; that of the runs is the file's.", min=0, metavar="S")
    ] = 42,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", help="Whose parameters, if several are enabled.", metavar="NAME", show_default=False),
    ] = None,
    workers: WorkersOption = None,
    backend: BackendOption = PROCESSES,
    address: AddressOption = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", help="Run what an interrupted walk-forward lacks: its id, or latest.", metavar="ID", show_default=False
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Run more than 10,000 times without being asked.", metavar="")
    ] = False,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    workspace: WorkspaceOption = None,
    json: JsonFlag = False,
) -> None:
    """Choose parameters on each training window, trade them on the one after it, and report what was traded.

    Example: fairlead walkforward configs/environments/backtest.yaml --param fast=10:50:10 --param slow=100,200
    """
    from fairlead.backtest.objectives import objective_of
    from fairlead.backtest.pools.compiled import warm_up
    from fairlead.backtest.rundir import WALK_FORWARD
    from fairlead.backtest.space import ParameterSpace
    from fairlead.backtest.splitters import WalkForward
    from fairlead.backtest.sweeps import check_size
    from fairlead.backtest.trialstore import TrialStore
    from fairlead.backtest.walkforward_files import summary, write_walk_forward
    from fairlead.backtest.walkforward_study import WalkForwardPlan, run_walk_forward
    from fairlead.config.study import trial_setup
    from fairlead.core.errors import ConfigurationError
    from fairlead.engine.clock import WallClock

    splitter = WalkForward(train=train, test=test, anchored=anchored, purge=purge, embargo=embargo)
    objective_of(objective)
    session = load_session(config, profile, override, workspace)
    setup = trial_setup(session, strategy)
    plan = None
    if param:
        space = ParameterSpace.parse(param, setup.strategy.parameters, setup.strategy.name)
        plan = WalkForwardPlan(space=space, splitter=splitter, search=search, trials=trials, seed=seed, objective=objective)
    elif resume is None:
        raise ConfigurationError.of(
            "--param", "be given at least once", "nothing", f"Known: {', '.join(setup.strategy.parameters)}."
        )
    fresh = None if resume is not None or plan is None else plan.runs(setup)
    if fresh is not None and not yes:
        remedy = "Add --yes if you mean it, take larger steps, or draw some: --search random --trials 50."
        check_size(fresh, MOST_RUNS, remedy)
    with progress("compiling", quiet=json):
        warm_up(setup)
    with TrialStore(session.workspace) as store:
        runs = fresh or store.study(resume or "", WALK_FORWARD).planned
        with apart(), progress("walk-forward", runs, quiet=json) as tell:
            try:
                study, result = run_walk_forward(
                    setup,
                    plan,
                    store,
                    created_at=WallClock().now(),
                    planned=fresh,
                    resume=resume,
                    workers=workers,
                    backend=backend,
                    address=address,
                    progress=tell,
                    command=f"fairlead {WALK_FORWARD} {config.as_posix()}",
                )
            except KeyboardInterrupt:
                note(
                    "[yellow]stopped[/] what finished is kept. Go on with: fairlead walkforward {config} --resume latest",
                    config=config,
                )
                raise
    folder = write_walk_forward(result, setup, study, session.workspace, replace=resume is not None)
    told = summary(result, study)
    if json:
        print_json({**told, "path": str(folder)})
    else:
        _show(result, told, folder)


def _show(result: WalkForwardResult, told: dict[str, Any], folder: Path) -> None:
    label = f"{SYNTHETIC} " if told["synthetic"] else ""
    say(f"{label}[bold]{{title}}[/] [dim]{{id}}[/]\n", title=told["title"], id=told["id"])
    names = list(result.space.axes)
    measure = result.objective.replace("_", " ")
    rows = [_row(outcome, item, names) for outcome, item in zip(result.folds, told["folds"], strict=True)]
    numbers = (*names, "In sample", "Out of sample", "Return", "Drawdown")
    print_table(
        f"Folds, chosen by {measure}", ("Fold", "Training", "Test", *numbers), rows, right=numbers, whole=("Training", "Test")
    )
    say()
    m, d = result.metrics, result.degradation
    pairs = [
        ("Return", _text(m["total_return"], "{:+,.2%}"), "Sharpe in training, mean", _text(d["in_sample_sharpe"], "{:.2f}")),
        (
            "Per year",
            _text(m["annualised_return"], "{:+,.2%}"),
            "Sharpe out of sample",
            _text(d["out_of_sample_sharpe"], "{:.2f}"),
        ),
        ("Max drawdown", _text(m["max_drawdown_pct"], "{:.2f} %"), "What was left of it", _text(d["sharpe_ratio"], "{:.0%}")),
        ("Volatility", _text(m["annualised_vol"], "{:.2%}"), "Median fold Sharpe", _text(d["median_fold_sharpe"], "{:.2f}")),
        ("Sessions", _text(m["sessions"], "{:,}"), "Folds that gained", _text(d["positive_folds"], "{:.0%}")),
    ]
    print_table("Out of sample", ("", "Traded", " ", "Promised and kept"), pairs, right=("Traded", "Promised and kept"))
    say()
    steady = [
        (name, str(s["common"]), f"{s['common_share']:.0%}", str(s["distinct"]), str(s["changes"]))
        for name, s in result.stability.items()
    ]
    print_table(
        "Parameters",
        ("", "Most chosen", "Share", "Distinct", "Changes"),
        steady,
        right=("Most chosen", "Share", "Distinct", "Changes"),
    )
    say()
    if result.best is not None:
        say(
            "In hindsight {params} would have had a Sharpe of {sharpe}; nobody knew.",
            params=", ".join(f"{name} {value}" for name, value in result.best.params.items()),
            sharpe=_text(result.best.metrics["sharpe"], "{:.2f}"),
        )
    for warning in result.warnings:
        say("[yellow]![/] {warning}", warning=warning)
    say("  [dim]written to[/]  {folder}", folder=folder)


def _row(outcome: FoldOutcome, item: dict[str, Any], names: list[str]) -> tuple[str, ...]:
    params = item["params"] or {}
    tested = item["out_of_sample_metrics"] or {}
    return (
        str(outcome.fold.number),
        " ".join(item["train"]),
        " ".join(item["test"]),
        *(str(params.get(name, _NO_NUMBER)) for name in names),
        _text(item["in_sample"], "{:.3g}"),
        _text(item["out_of_sample"], "{:.3g}"),
        _text(tested.get("total_return"), "{:+.1%}"),
        _text(tested.get("max_drawdown_pct"), "{:.1f}%"),
    )


def _text(value: Any, pattern: str) -> str:
    return _NO_NUMBER if value is None else pattern.format(value)
