"""The run directory: every artefact of a run, written as a whole or not at all (domain rule 6.12)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from fairlead.backtest import recordfile
from fairlead.backtest.checkrows import ORDER_CHECKS, checks_text
from fairlead.backtest.flows import falls, paid_at
from fairlead.backtest.info import RunInfo, plain
from fairlead.backtest.manifest import MANIFEST, diagnostics, manifest, run_steps
from fairlead.backtest.plots import to_png
from fairlead.backtest.report.page import render
from fairlead.backtest.result import PlotKind, Result
from fairlead.backtest.tables import (
    EXECUTION_COLUMNS,
    FILL_COLUMNS,
    OUTCOME_COLUMNS,
    TRADE_COLUMNS,
    Row,
    Tables,
    to_csv,
)
from fairlead.contracts.files import atomic_directory, canonical_json, write_json
from fairlead.contracts.orders.row import ORDER_COLUMNS
from fairlead.core.errors import DataError, DataNotFound
from fairlead.core.instruments import AssetClass, Instrument

RUNS: Final = "runs"
WALK_FORWARD: Final = "walkforward"
"""Mode of a directory beside those of runs that holds a walk-forward."""
MODES: Final = ("backtest", "replay", "paper", "live")
"""Modes of runs proper: those that have a record."""
_PICTURES: Final[tuple[PlotKind, ...]] = ("equity", "drawdown")


def write_run(result: Result, workspace: str | Path, *, report: bool = True, plots: bool = True) -> Path:
    """Write ``runs/<run_id>/`` below `workspace` and return it.

    Parameters
    ----------
    report : bool
        Whether to write ``report.html``, 5 MB of which are the chart library.
    plots : bool
        Whether to write the PNG pictures of equity and drawdown.

    Raises
    ------
    StorageError
        If the run is already there or the disk refuses; nothing is left half-written.
    """
    return write_directory(result, Path(workspace) / RUNS / result.run_id, report=report, plots=plots)


def write_directory(result: Result, target: Path, *, report: bool = True, plots: bool = True) -> Path:
    """Write all artefacts of `result` into the new folder `target`; see `write_run`."""
    # Everything that computes comes first, so that an error in it is not taken for the disk's.
    page = render(result) if report else ""
    tables = _tables(result)
    pictures = {f"{kind}_curve.png": to_png(result.plot(kind)) for kind in (_PICTURES if plots else ())}
    with atomic_directory(target) as folder:
        for name, (columns, table) in tables.items():
            _text(folder / name, to_csv(columns, table))
        _equity_csv(result, folder / "equity_curve.csv")
        recordfile.write_record(folder, result.record)
        if result.record.order_checks:
            _text(folder / ORDER_CHECKS, checks_text(result.record.order_checks))
        for name, picture in pictures.items():
            (folder / name).write_bytes(picture)
        write_json(folder / "metrics.json", result.metrics)
        write_json(folder / "execution.json", result.execution.to_dict())
        write_json(folder / "diagnostics.json", diagnostics(result))
        _text(folder / "config.yaml", yaml.safe_dump(plain(result.info.config), sort_keys=True, allow_unicode=True))
        _text(folder / "label.txt", f"{_one_line(result.info.title)}\n")
        _text(folder / "run_steps.jsonl", "".join(f"{canonical_json(step)}\n" for step in run_steps(result)))
        if report:
            _text(folder / "report.html", page)
        counts = {name: len(table) for name, (_, table) in tables.items()}
        counts[ORDER_CHECKS] = len(result.record.order_checks)
        counts["equity_curve.csv"] = len(result.record.account.ts_ns)
        write_json(folder / MANIFEST, manifest(result, folder, counts))
    return target


def read_directory(path: Path) -> Result:
    """Return the result that `write_directory` wrote.

    Raises
    ------
    DataNotFound
        If `path` holds no manifest.
    DataError
        If the manifest or a table is damaged.
    """
    data = read_manifest(path)
    if data.get("mode") == WALK_FORWARD:
        raise DataError(f"{path} holds a walk-forward, which is no single run. Read its summary.json, folds.csv and pictures.")
    if is_order_replay(data):
        raise DataError(f"{path} holds the replay of an order file, which has no record. Read its trades.csv and metrics.json.")
    try:
        info = RunInfo.from_dict(data["info"])
        instruments = {item["symbol"]: _instrument(item) for item in data["instruments"]}
        record = recordfile.read_record(path, info.run_id, data["record"])
        return Result(record, info, instruments=instruments, risk_free=float(data["risk_free"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise DataError(f"cannot read {path / MANIFEST}: {exc!r}. The run directory is damaged; run it again.") from exc


def _tables(result: Result) -> dict[str, tuple[tuple[str, ...], list[Row]]]:
    tables = Tables(result.record, result.info, result.ledger, result.instruments)
    return {
        "orders.csv": (ORDER_COLUMNS + OUTCOME_COLUMNS, list(tables.orders())),
        "filled_orders.csv": (FILL_COLUMNS, list(tables.fills())),
        "trades.csv": (TRADE_COLUMNS, list(tables.trades())),
        "execution_quality.csv": (EXECUTION_COLUMNS, list(tables.executions(result.execution.orders))),
    }


def _equity_csv(result: Result, path: Path) -> None:
    account, initial, flows = result.record.account, result.record.initial_cash, result.record.cash_flows
    below, percent = falls(account, flows, initial)
    stamps = pl.Series("ts", account.ts_ns).cast(pl.Datetime("ns")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    columns = {"ts": stamps, "equity": account.equity, "drawdown": below, "drawdown_pct": percent}
    if flows:
        columns["cash_flow"] = paid_at(account.ts_ns, flows)
    pl.DataFrame(columns).write_csv(path)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of the run directory `path`.

    Raises
    ------
    DataNotFound
        If there is none.
    DataError
        If it is damaged.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise DataNotFound(f"no run directory at {path}: it holds no {MANIFEST}. List runs with `fairlead runs ls`.")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise DataError(f"cannot read {file}: {exc}. The run directory is damaged; run it again.") from exc
    if not isinstance(data, dict):
        raise DataError(f"cannot read {file}: it holds no mapping. The run directory is damaged; run it again.")
    return data


def is_order_replay(data: dict[str, Any]) -> bool:
    """Whether a manifest is that of a replayed order file: see `fairlead.backtest.replay`."""
    return data.get("engine") == "replay" and "info" not in data


def _instrument(data: dict[str, Any]) -> Instrument:
    return Instrument(**{**data, "asset_class": AssetClass(data["asset_class"])})


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
