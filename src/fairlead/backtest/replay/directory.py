"""The run directory of a replay: begun before anything is read, and finished whatever happens (domain rule 6.12)."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import polars as pl

from fairlead.backtest.info import plain
from fairlead.backtest.manifest import MANIFEST, SCHEMA_VERSION
from fairlead.backtest.plots import drawdown_figure, equity_figure, to_png
from fairlead.backtest.provenance import code_version, python_version
from fairlead.backtest.replay import tables
from fairlead.backtest.replay.bars import ReplayBars, load_bars
from fairlead.backtest.replay.coverage import coverage_of
from fairlead.backtest.replay.fills import REASONS
from fairlead.backtest.replay.result import ReplayResult
from fairlead.backtest.replay.settings import ReplayAbout, ReplaySettings
from fairlead.backtest.replay.simulation import replay_orders
from fairlead.backtest.tables import FILL_COLUMNS
from fairlead.contracts.files import (
    atomic_write_bytes,
    atomic_write_text,
    canonical_json,
    sha256_bytes,
    sha256_file,
    write_json,
)
from fairlead.contracts.orders import OrderFile, read_orders
from fairlead.core.errors import ConfigurationError, ContractError, DataError, GateError, StorageError
from fairlead.core.identity import short_hash
from fairlead.core.instruments import Instrument
from fairlead.core.time import BarSize, format_utc, to_ns

ENGINE: Final = "replay"
STEPS: Final = "run_steps.jsonl"
UNFINISHED: Final = "the run did not finish"
_PRECONDITIONS: Final = (ConfigurationError, ContractError, DataError, GateError)
_NS: Final = 1e9
ERROR: Final = "ERROR"
FAILED_PRECONDITION: Final = "FAILED_PRECONDITION"


def status_of_failure(failure: BaseException) -> str:
    """Return how a run ends that stops with `failure`: FAILED_PRECONDITION if its input is to blame, else ERROR."""
    blamed = isinstance(failure, _PRECONDITIONS) and not isinstance(failure, StorageError)
    return FAILED_PRECONDITION if blamed else ERROR


def run_replay(
    orders_csv: str | Path,
    data_path: Any,
    run_dir: str | Path,
    about: ReplayAbout,
    settings: ReplaySettings | None = None,
    *,
    data_path_m1: Any = None,
    bar_size: BarSize | str | None = None,
    instruments: Mapping[str, Instrument] | None = None,
) -> ReplayResult:
    """Replay an order file and leave its run directory, its manifest finished for every outcome.

    Parameters
    ----------
    orders_csv, data_path, data_path_m1, bar_size, instruments
        As `simulate_insidebar_from_orders` takes them.
    run_dir : path
        ``runs/<run_id>`` of a workspace, as a rule; must not hold a run yet.
    about : ReplayAbout
    settings : ReplaySettings, optional

    Raises
    ------
    ContractError, DataError, ConfigurationError
        As `simulate_insidebar_from_orders`; the manifest says FAILED_PRECONDITION then.
    StorageError
        If there is a run in the folder, or the disk refuses.
    """
    with ReplayRunDirectory(run_dir, about, settings) as run:
        return run.replay(orders_csv, data_path, data_path_m1=data_path_m1, bar_size=bar_size, instruments=instruments)


class ReplayRunDirectory:
    """A run directory that is filled step by step; a context manager.

    Parameters
    ----------
    run_dir : path
    about : ReplayAbout
    settings : ReplaySettings, optional
        Defaults if not given.

    Attributes
    ----------
    folder : Path
    result : ReplayResult or None
        Once `replay` has returned.

    Raises
    ------
    StorageError
        If there is a run in the folder, or the disk refuses.
    """

    def __init__(self, run_dir: str | Path, about: ReplayAbout, settings: ReplaySettings | None = None) -> None:
        self.folder = Path(run_dir)
        self.result: ReplayResult | None = None
        self._about = about
        self._settings = settings or ReplaySettings()
        self._steps: list[dict[str, Any]] = []
        self._gates: dict[str, Any] = {"coverage": None, "sla": None}
        self._rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        if (self.folder / MANIFEST).exists():
            raise StorageError(f"cannot write {self.folder}: there is a run already. Choose another run id.")
        title = " ".join((self._about.title or self._about.run_id).split())
        atomic_write_text(self.folder / "label.txt", f"{title}\n")
        # Until it is finished a run has failed: that is what a power cut leaves behind.
        self._write_manifest(ERROR, UNFINISHED)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if exc is None and self.result is None:
            exc = RuntimeError("nothing was replayed")
        if exc is None:
            self._finish("SUCCESS", "")
            return
        reason = " ".join(str(exc).split()) or type(exc).__name__
        status = status_of_failure(exc)
        if status == ERROR:
            reason = f"{type(exc).__name__}: {reason}"
        # A disk that refuses the last word must not hide what went wrong before.
        with contextlib.suppress(StorageError):
            self._finish(status, reason)

    @contextlib.contextmanager
    def step(self, name: str, detail: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Time a step, and note it in ``run_steps.jsonl``; what is put into the mapping is its detail."""
        known = dict(detail or {})
        entry: dict[str, Any] = {"seq": len(self._steps), "step": name, "status": "failed", "detail": known}
        self._steps.append(entry)
        began = time.perf_counter_ns()
        try:
            yield known
            entry["status"] = "ok"
        finally:
            entry["seconds"] = (time.perf_counter_ns() - began) / _NS

    def gate(self, name: str, outcome: Mapping[str, Any]) -> None:
        """State what a gate has found: ``coverage`` or ``sla``."""
        if name not in self._gates:
            raise ConfigurationError.of("gate", "be 'coverage' or 'sla'", name)
        self._gates[name] = dict(outcome)

    def replay(
        self,
        orders_csv: str | Path | OrderFile,
        data_path: Any,
        *,
        data_path_m1: Any = None,
        bar_size: BarSize | str | None = None,
        instruments: Mapping[str, Instrument] | None = None,
    ) -> ReplayResult:
        """Replay an order file, write what came of it, and return it.

        Raises
        ------
        ContractError, DataError, ConfigurationError
            As `simulate_insidebar_from_orders`.
        """
        with self.step("read_orders") as detail:
            file = orders_csv if isinstance(orders_csv, OrderFile) else read_orders(orders_csv, instruments)
            detail |= {"orders": len(file.orders), "torn": file.torn is not None}
            self._note_orders(file)
        with self.step("read_bars") as detail:
            bars = load_bars(data_path, data_path_m1, self._settings, bar_size=bar_size)
            detail |= {"bars": len(bars.ints), "symbols": len(bars.symbols)}
            self._bars = bars
            self._gates["coverage"] = self._gates["coverage"] or coverage_of(bars, self._settings)
        with self.step("replay") as detail:
            result = replay_orders(file, bars, self._settings, instruments)
            detail |= {"trades": len(result.fills.trades), "fills": 2 * len(result.fills.trades)}
        with self.step("write") as detail:
            self._write_result(result)
            detail["files"] = len(self._rows)
        self.result = result
        return result

    _file: OrderFile | None = None
    _bars: ReplayBars | None = None

    def _note_orders(self, file: OrderFile) -> None:
        self._file = file
        self._csv("orders.csv", tables.orders_csv(file.orders), len(file.orders))

    def _write_result(self, result: ReplayResult) -> None:
        fills = tables.fill_rows(result.fills)
        trades = tables.trade_rows(result.fills.trades, result.codes, result.bars)
        self._csv("filled_orders.csv", tables.csv_text(FILL_COLUMNS, fills), len(fills))
        self._csv("trades.csv", tables.csv_text(tables.REPLAY_TRADE_COLUMNS, trades), len(trades))
        curve, title = result.curve, self._about.title or self._about.run_id
        stamps = pl.Series("ts", curve.ts_ns).cast(pl.Datetime("ns")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        values = {name: getattr(curve, name) for name in tables.EQUITY_COLUMNS[1:]}
        self._csv("equity_curve.csv", pl.DataFrame({"ts": stamps, **values}).write_csv(), len(stamps))
        ts, equity, cash = curve.ts_ns, curve.equity, self._settings.initial_cash
        pictures = {
            "equity_curve.png": equity_figure(ts, equity, title=_titled(title, "equity")),
            "drawdown_curve.png": drawdown_figure(ts, equity, cash, title=_titled(title, "drawdown")),
        }
        for name, figure in pictures.items():
            atomic_write_bytes(self.folder / name, to_png(figure))
        write_json(self.folder / "metrics.json", result.metrics)

    def _csv(self, name: str, text: str, rows: int) -> None:
        atomic_write_text(self.folder / name, text)
        self._rows[name] = rows

    def _finish(self, status: str, reason: str) -> None:
        write_json(self.folder / "diagnostics.json", self._diagnostics(status))
        lines = "".join(f"{canonical_json(plain(step))}\n" for step in self._steps)
        atomic_write_text(self.folder / STEPS, lines)
        self._rows[STEPS] = len(self._steps)
        self._write_manifest(status, reason)

    def _diagnostics(self, status: str) -> dict[str, Any]:
        result, file = self.result, self._file
        found: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "status": status,
            "orders": None if file is None else len(file.orders),
            "torn_line": None if file is None else file.torn,
            "ignored_columns": [] if file is None else list(file.ignored),
            "bars": None if self._bars is None else len(self._bars.ints),
        }
        if result is not None:
            found["unfilled"] = dict(Counter(leg.reason for leg in result.fills.legs if leg.reason in REASONS.values()))
            found["exits"] = dict(Counter(trade.exit_reason for trade in result.fills.trades))
            found["evidence"] = dict(Counter(code for codes in result.codes for code in codes))
            realised = sum(trade.net_pnl for trade in result.fills.trades)
            final = float(result.curve.equity[-1])
            found["ledger_error"] = abs(final - self._settings.initial_cash - realised)
        return found

    def _write_manifest(self, status: str, reason: str) -> None:
        about, settings = self._about, self._settings
        orders = () if self._file is None else self._file.orders
        params = {**plain(dict(about.params)), "replay": _rules_of(settings)}
        names = sorted(path.name for path in self.folder.iterdir() if path.name != MANIFEST and not path.name.startswith("."))
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "run_id": about.run_id,
            "created_at": format_utc(to_ns(about.created_at)),
            "engine": ENGINE,
            "mode": about.mode,
            "strategy": about.strategy or ", ".join(sorted({order.strategy for order in orders})),
            "strategy_version": about.strategy_version or ", ".join(sorted({order.strategy_version for order in orders})),
            "params": params,
            "params_hash": sha256_bytes(canonical_json(params).encode()),
            "code_version": code_version(),
            "python_version": python_version(),
            "seed": about.seed,
            "universe": sorted({order.symbol for order in orders}),
            "data": self._data(),
            "costs": settings.costs.model_dump(mode="json"),
            "sizing": None if about.sizing is None else plain(dict(about.sizing)),
            "gates": plain(self._gates),
            "result": {
                "status": status,
                "reason": reason,
                "error_id": None if status == "SUCCESS" else short_hash(status, reason.replace("|", "/")),
            },
            "artefacts": [{"name": name, "sha256": self._hash(name), "rows": self._rows.get(name)} for name in names],
        }
        write_json(self.folder / MANIFEST, manifest)

    def _hash(self, name: str) -> str | None:
        # Durations differ from run to run, and with them the hash: two manifests of one replay must not.
        return None if name == STEPS else sha256_file(self.folder / name)

    def _data(self) -> dict[str, Any]:
        bars, settings = self._bars, self._settings
        asked = None if settings.requested_end is None else settings.requested_end.isoformat()
        parts = [] if bars is None else [bars.signal, *([] if bars.minutes is None else [bars.minutes])]
        hashes = [part.sha256 for part in parts]
        return {
            "symbols": [] if bars is None else list(bars.symbols),
            "timeframe_signal": None if bars is None else bars.signal.size.value,
            "timeframe_exec": None if bars is None else bars.finest.value,
            "range_requested": [None, asked],
            "range_effective": [] if bars is None else [format_utc(ns) for ns in bars.span_ns],
            "calendar": settings.calendar,
            "paths": [path for part in parts for path in part.paths],
            "sha256": hashes[0] if len(hashes) == 1 else sha256_bytes(canonical_json(hashes).encode()) if hashes else None,
        }


def _rules_of(settings: ReplaySettings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={"costs", "calendar", "requested_end"})


def _titled(title: str, what: str) -> str:
    return f"{' '.join(title.split())}: {what}"
