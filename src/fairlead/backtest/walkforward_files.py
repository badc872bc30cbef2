"""The directory of a walk-forward: written as a whole or not at all, beside the runs and listed with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from fairlead.backtest.info import RunInfo, plain
from fairlead.backtest.manifest import MANIFEST, SCHEMA_VERSION
from fairlead.backtest.metrics import Metric, drawdowns
from fairlead.backtest.objectives import natural
from fairlead.backtest.plots import to_png
from fairlead.backtest.provenance import code_version, python_version
from fairlead.backtest.run import config_hash, run_id
from fairlead.backtest.rundir import RUNS, WALK_FORWARD
from fairlead.backtest.tables import Row, to_csv
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.backtest.trialstore import Study
from fairlead.backtest.walkforward import FoldOutcome, WalkForwardResult
from fairlead.contracts.files import atomic_directory, canonical_json, sha256_bytes, sha256_file, write_json
from fairlead.core.time import day_to_date, format_utc, to_ns

_MEASURES: Final = ("sharpe", "total_return", "max_drawdown_pct", "num_trades")


def study_of(
    setup: TrialSetup,
    plan: Mapping[str, Any],
    *,
    planned: int,
    created_at: dt.datetime,
    command: str = "",
    taken: Collection[str] = (),
) -> Study:
    """Return the study under which the trials of a walk-forward are recorded.

    Parameters
    ----------
    setup : TrialSetup
    plan : mapping
        How folds and parameter sets are found, as plain data.
    planned : int
        How many runs it will take.
    created_at : datetime
        Aware.
    command : str
        What started it.
    taken : collection of str
        Names that it cannot have: two may begin in one second.
    """
    hashed = config_hash({**setup.config, WALK_FORWARD: dict(plan)})
    name = free = run_id(created_at, setup.title, hashed).replace("bt_", "wf_", 1)
    ordinal = 1
    while free in taken:
        ordinal += 1
        free = f"{name}_{ordinal}"
    return Study(
        id=free,
        kind=WALK_FORWARD,
        created_at=format_utc(to_ns(created_at)),
        title=setup.title,
        strategy=setup.strategy.name,
        version=setup.strategy.version,
        planned=planned,
        plan=dict(plan),
        config=dict(setup.config),
        dataset=setup.source.name,
        synthetic=setup.source.is_synthetic,
        code_hash=setup.code_hash,
        config_hash=config_hash(setup.config),
        data_hash=setup.source.content_hash,
        command=command,
    )


def summary(result: WalkForwardResult, study: Study) -> dict[str, Any]:
    """Return a walk-forward in short as JSON-able data."""
    return {
        "id": study.id,
        "title": study.title,
        "synthetic": study.synthetic,
        "plan": study.plan,
        "objective": result.objective,
        "runs": sum(len(f.trials) + (f.test is not None) for f in result.folds) + len(result.hindsight),
        "folds": [_fold(outcome, result.objective) for outcome in result.folds],
        "metrics": dict(result.metrics),
        "degradation": _degradation(result),
        "stability": plain(result.stability),
        "hindsight": None if result.best is None else {"params": result.best.params, "metrics": result.best.metrics},
        "refused": plain(list(result.refused)),
        "warnings": result.warnings,
    }


def write_walk_forward(
    result: WalkForwardResult, setup: TrialSetup, study: Study, workspace: str | Path, *, replace: bool = False
) -> Path:
    """Write ``runs/<id>/`` below `workspace` and return it; `replace` what a walk-forward that is gone on with left there.

    Raises
    ------
    StorageError
        If it is already there or the disk refuses; nothing is left half-written.
    """
    from fairlead.backtest.walkforward_plots import equity_figure, parameters_figure  # noqa: PLC0415  matplotlib

    note = "synthetic data" if study.synthetic else ""
    pictures = {
        "equity_curve.png": to_png(equity_figure(result, note=note)),
        "parameters.png": to_png(parameters_figure(result, note=note)),
    }
    tables = {"folds.csv": _folds(result), "trials.csv": _trials(result), "equity_curve.csv": _curve(result)}
    target = Path(workspace) / RUNS / study.id
    with atomic_directory(target, replace=replace) as folder:
        for name, (columns, rows) in tables.items():
            (folder / name).write_text(to_csv(columns, rows), encoding="utf-8", newline="\n")
        for name, picture in pictures.items():
            (folder / name).write_bytes(picture)
        write_json(folder / "metrics.json", result.metrics)
        write_json(folder / "summary.json", summary(result, study))
        config = plain({**study.config, WALK_FORWARD: study.plan})
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=True, allow_unicode=True), encoding="utf-8")
        (folder / "label.txt").write_text(f"{' '.join(study.title.split())}\n", encoding="utf-8")
        counts = {name: len(rows) for name, (_, rows) in tables.items()}
        write_json(folder / MANIFEST, _manifest(result, setup, study, folder, counts))
    return target


def _manifest(
    result: WalkForwardResult, setup: TrialSetup, study: Study, folder: Path, counts: Mapping[str, int]
) -> dict[str, Any]:
    source = setup.source
    info = RunInfo(
        run_id=study.id,
        title=study.title,
        mode=WALK_FORWARD,
        created_at=study.created_at,
        code_version=code_version(),
        python_version=python_version(),
        seed=setup.plan.seed,
        dataset=study.dataset,
        dataset_hash=study.data_hash,
        synthetic=study.synthetic,
        bar_size=source.bar_size.value,
        calendar=source.calendar,
        symbols=source.symbols,
        start=result.folds[0].fold.test_start.isoformat(),
        end=result.folds[-1].fold.test_end.isoformat(),
        config={**study.config, WALK_FORWARD: study.plan},
        config_hash=study.config_hash,
        code_hash=study.code_hash,
        costs={
            "slippage": setup.plan.execution.slippage.model_dump(mode="json"),
            "commission": setup.plan.execution.commission.model_dump(mode="json"),
        },
        command=study.command,
    )
    names = sorted(path.name for path in folder.iterdir())
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": study.id,
        "created_at": study.created_at,
        "mode": WALK_FORWARD,
        "strategy": [study.strategy],
        "strategy_version": [study.version],
        "info": plain(info.to_dict()),
        "result": {"status": "SUCCESS", "reason": "", "digest": digest(result), "warnings": result.warnings},
        "artefacts": [{"name": n, "sha256": sha256_file(folder / n), "rows": counts.get(n)} for n in names],
    }


def digest(result: WalkForwardResult) -> str:
    """Return a hash of all trials' digests and of what was chosen: equal for equal walk-forwards."""
    folds = [[[t.params, t.digest] for t in (*f.trials, *((f.test,) if f.test is not None else ()))] for f in result.folds]
    return sha256_bytes(canonical_json(plain(folds)).encode())


def _degradation(result: WalkForwardResult) -> dict[str, Any]:
    found = dict(result.degradation)
    for key in ("in_sample_objective", "out_of_sample_objective"):
        found[key] = natural(result.objective, found[key])
    return found


def _fold(outcome: FoldOutcome, objective: str) -> dict[str, Any]:
    fold, chosen, test = outcome.fold, outcome.chosen, outcome.test
    return {
        "fold": fold.number,
        "train": [fold.train_start.isoformat(), fold.train_end.isoformat()],
        "test": [fold.test_start.isoformat(), fold.test_end.isoformat()],
        "train_sessions": fold.train_sessions,
        "test_sessions": fold.test_sessions,
        "trials": len(outcome.trials),
        "failed": outcome.failed,
        "params": None if chosen is None else chosen.params,
        "in_sample": natural(objective, outcome.in_sample),
        "out_of_sample": natural(objective, outcome.out_of_sample),
        "in_sample_metrics": _measured(chosen),
        "out_of_sample_metrics": _measured(test),
        "problem": outcome.problem,
    }


def _measured(trial: Trial | None) -> dict[str, Metric] | None:
    return {name: trial.metrics[name] for name in _MEASURES} if trial is not None and trial.completed else None


_Table: TypeAlias = tuple[tuple[str, ...], list[Row]]


def _table(rows: list[dict[str, Any]]) -> _Table:
    return tuple(rows[0]), [
        {name: "" if value is None or value != value else str(value) for name, value in row.items()} for row in rows
    ]


def _folds(result: WalkForwardResult) -> _Table:
    rows = []
    for item in (_fold(outcome, result.objective) for outcome in result.folds):
        sides = {"in_sample": item.pop("in_sample_metrics"), "out_of_sample": item.pop("out_of_sample_metrics")}
        spans = {
            f"{name}_{end}": day
            for name in ("train", "test")
            for end, day in zip(("start", "end"), item.pop(name), strict=True)
        }
        params = item.pop("params") or {}
        chosen = {f"param_{name}": params.get(name) for name in result.space.axes}
        measured = {f"{side}_{name}": (values or {}).get(name) for side, values in sides.items() for name in _MEASURES}
        rows.append({"fold": item.pop("fold"), **spans, **item, **chosen, **measured})
    return _table(rows)


def _trials(result: WalkForwardResult) -> _Table:
    names = list(result.space.axes)

    def row(place: int, window: str, fold: int | None, trial: Trial) -> dict[str, Any]:
        hashes = {"code_hash": trial.code_hash, "config_hash": trial.config_hash, "data_hash": trial.data_hash}
        return {
            "ordinal": place,
            "window": window,
            "fold": fold,
            **{f"param_{name}": trial.params.get(name) for name in names},
            "status": trial.status,
            "reason": trial.reason,
            **{name: trial.metrics.get(name) for name in _MEASURES},
            **hashes,
            "digest": trial.digest,
        }

    listed: list[tuple[str, int | None, Trial]] = [("train", f.fold.number, trial) for f in result.folds for trial in f.trials]
    listed += [("hindsight", None, trial) for trial in result.hindsight]
    listed += [("test", f.fold.number, f.test) for f in result.folds if f.test is not None]
    rows = [row(place, window, fold, trial) for place, (window, fold, trial) in enumerate(listed)]
    return _table(rows)


def _curve(result: WalkForwardResult) -> _Table:
    below, percent = drawdowns(result.equity, result.capital)
    rows = [
        {"session": day_to_date(int(day)).isoformat(), "return": ret, "equity": equity, "drawdown": loss, "drawdown_pct": pct}
        for day, ret, equity, loss, pct in zip(
            result.days.tolist(), result.returns.tolist(), result.equity.tolist(), below.tolist(), percent.tolist(), strict=True
        )
    ]
    return _table(rows)
