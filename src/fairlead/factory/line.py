"""The line: every stage in its order, each reading what the one before it wrote."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from fairlead.backtest.replay import ReplayAbout, ReplayResult, ReplayRunDirectory, ReplaySettings
from fairlead.backtest.run import run_id as new_run_id
from fairlead.backtest.rundir import RUNS
from fairlead.contracts.enforcement import Enforcement
from fairlead.contracts.files import storage_error, write_json
from fairlead.contracts.frames import IntradayFrameSpec
from fairlead.contracts.signals import read_signals, write_signals
from fairlead.core.errors import ConfigurationError
from fairlead.core.instruments import Instrument
from fairlead.factory.bars import MINUTES_FOLDER, Bars, make_bars, read_bars, signal_folder, write_bars
from fairlead.factory.daily import daily_bars
from fairlead.factory.findings import DataRefused
from fairlead.factory.ordering import ORDERS_FILE, UNSIZED_FILE, Orders, make_orders, write_orders, write_unsized
from fairlead.factory.plugin import SignalPlugin
from fairlead.factory.selection import CANDIDATES_FOLDER, read_candidates, select_candidates, write_candidates
from fairlead.factory.settings import FactorySettings
from fairlead.factory.signalling import REJECTS_FILE, SIGNALS_FILE, find_signals, write_rejects
from fairlead.factory.sources import Minutes
from fairlead.factory.steps import Step, Steps
from fairlead.risk import PositionSizer, SizingMode

FACTORY_FOLDER: Final = "factory"
DAILY_FOLDER: Final = "daily"
SYNTHETIC: Final = "SYNTHETIC data"
# What the manifest has places of its own for.
_TOLD_APART: Final = ("run_id", "name", "seed", "signals", "sizing", "replay")
CONFIG_FILE: Final = "config.json"


@dataclass(frozen=True, slots=True)
class FactoryResult:
    """What a line made.

    Attributes
    ----------
    run_folder : Path
        The run directory.
    handed : Path
        The folder of what the stages handed on.
    steps : list of Step
    replay : ReplayResult
    warnings : list of str
        Findings about the data that the levels of enforcement let pass.
    """

    run_id: str
    run_folder: Path
    handed: Path
    steps: list[Step]
    replay: ReplayResult
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """A configured line whose minutes have been found.

    Parameters
    ----------
    settings : FactorySettings
    minutes : Minutes
    effective : mapping
        The configuration as plain data.
    hashed : str
        Its hash.
    workspace : Path
    created_at : datetime
        Aware; the only thing about a run, durations aside, that differs when it is repeated.
    """

    settings: FactorySettings
    minutes: Minutes
    effective: Mapping[str, Any]
    hashed: str
    workspace: Path
    created_at: dt.datetime

    @property
    def run_id(self) -> str:
        """The configured name, else one that holds the time."""
        return self.settings.run_id or new_run_id(self.created_at, self.settings.name, self.hashed)

    @property
    def handed(self) -> Path:
        """The folder of what the stages hand on."""
        return self.workspace / FACTORY_FOLDER / self.run_id

    @property
    def tz(self) -> str:
        """The zone of windows and messages."""
        return self.settings.tz or self.minutes.calendar.timezone

    @property
    def run_folder(self) -> Path:
        """The run directory."""
        return self.workspace / RUNS / self.run_id

    def check_name(self) -> None:
        """Refuse a name under which another configuration, or something that is no line, has run.

        Raises
        ------
        ConfigurationError
            Naming the folder in the way.
        """
        path = self.handed / CONFIG_FILE
        if path.is_file():
            if json.loads(path.read_text(encoding="utf-8")).get("hash") != self.hashed:
                remedy = f"Give this one another name, or remove {self.handed}."
                raise ConfigurationError.of("run_id", "not be that of a run with another configuration", self.run_id, remedy)
        elif self.run_folder.exists():
            remedy = f"{self.run_folder} is there already. Give this one another name."
            raise ConfigurationError.of("run_id", "not be that of another run", self.run_id, remedy)

    def check_data(self, steps: Steps) -> Bars:
        """Return the checked bars: the first stage alone, which writes their quality and nothing else.

        Raises
        ------
        DataRefused
            If they do not pass.
        """
        with steps.step("data") as step:
            return self._make_bars(step, steps)

    def run(self, steps: Steps) -> FactoryResult:
        """Run every stage; the manifest of the run is finalised for every outcome.

        Raises
        ------
        DataRefused
            If the data does not pass: nothing downstream has run.
        FairleadError
            Whatever else a stage refuses.
        """
        self.check_name()
        plugin = self.settings.signals.build()
        write_json(self.handed / CONFIG_FILE, {"hash": self.hashed, "config": self.effective})
        directory = ReplayRunDirectory(self.run_folder, self._about(plugin), self._replay_settings())
        with _set_aside(self.run_folder), directory as run:
            with _step(run, steps, "data") as step:
                warnings = self._hand_on_bars(run, step, steps)
            with _step(run, steps, "candidates") as step:
                self._select(step, steps, plugin)
            with _step(run, steps, "signals") as step:
                self._find(step, steps, plugin)
            with _step(run, steps, "orders") as step:
                self._order(step)
            # Its lines in `run_steps.jsonl` are its own.
            with steps.step("replay") as step:
                result = run.replay(
                    self.handed / ORDERS_FILE,
                    self._signal_folder,
                    data_path_m1=self.handed / MINUTES_FOLDER,
                    bar_size=self.settings.timeframe,
                    instruments=self._instruments(path.stem for path in self._signal_folder.glob("*.parquet")),
                )
                step.rows_in, step.rows_out = len(result.orders), len(result.trades)
        return FactoryResult(self.run_id, self.run_folder, self.handed, steps.done, result, warnings)

    @property
    def _signal_folder(self) -> Path:
        return self.handed / signal_folder(self.settings.timeframe)

    def _hand_on_bars(self, run: ReplayRunDirectory, step: Step, steps: Steps) -> list[str]:
        """Write the checked bars and return what was let pass about them."""
        try:
            bars = self._make_bars(step, steps)
        except DataRefused as exc:
            run.gate("sla", {"passed": False, "findings": exc.as_json()})
            raise
        write_bars(self.handed / MINUTES_FOLDER, bars.m1)
        write_bars(self._signal_folder, bars.signal)
        run.gate("sla", {"passed": all(record.passed for record in bars.records), "symbols": len(bars.records)})
        return bars.warnings

    def _signal_bars(self) -> dict[str, pl.DataFrame]:
        """Return the bars that the first stage handed on, held to their contract once more."""
        if self.settings.enforcement.contracts is not Enforcement.ENFORCE:
            return read_bars(self._signal_folder)
        spec = IntradayFrameSpec(self.settings.timeframe)
        return read_bars(self._signal_folder, lambda frame: spec.assert_valid(frame, self.minutes.calendar, self.tz))

    def _make_bars(self, step: Step, steps: Steps) -> Bars:
        try:
            bars = make_bars(
                self.minutes, self.settings, self.workspace, self.run_id, lambda done, total: steps.tell("data", done, total)
            )
        except DataRefused as exc:
            step.status = "refused"
            step.detail = {"findings": exc.as_json()}
            raise
        step.rows_in, step.rows_out = bars.rows
        step.detail = {
            "symbols": len(bars.signal),
            "synthetic": self.minutes.synthetic,
            "source": self.minutes.name,
            "warnings": bars.warnings,
        }
        return bars

    def _select(self, step: Step, steps: Steps, plugin: SignalPlugin) -> None:
        calendar = self.minutes.calendar
        bars = self._signal_bars()
        daily = {name: daily_bars(frame, self.settings.timeframe, calendar) for name, frame in bars.items()}
        write_bars(self.handed / DAILY_FOLDER, daily)
        lists = select_candidates(
            daily,
            plugin,
            calendar,
            self.settings.candidates,
            lambda done, total: steps.tell("candidates", done, total),
        )
        write_candidates(self.handed / CANDIDATES_FOLDER, lists)
        step.rows_in, step.rows_out = sum(frame.height for frame in daily.values()), sum(len(item.items) for item in lists)
        step.detail = {"lists": len(lists), "empty": sum(not item.items for item in lists)}

    def _find(self, step: Step, steps: Steps, plugin: SignalPlugin) -> None:
        bars = self._signal_bars()
        lists = read_candidates(self.handed / CANDIDATES_FOLDER)
        found = find_signals(
            bars,
            lists,
            plugin,
            bar_size=self.settings.timeframe,
            calendar=self.minutes.calendar,
            tz=self.tz,
            run_id=self.run_id,
            instruments=self._instruments(bars),
            tell=lambda done, total: steps.tell("signals", done, total),
        )
        write_signals(self.handed / SIGNALS_FILE, found.signals)
        write_rejects(self.handed / REJECTS_FILE, found.rejects)
        reasons: dict[str, int] = {}
        for reject in found.rejects:
            reasons[reject.reason] = reasons.get(reject.reason, 0) + 1
        step.rows_in, step.rows_out = found.views, len(found.signals)
        step.detail = {"rejects": dict(sorted(reasons.items()))}

    def _order(self, step: Step) -> None:
        risk_based = self.settings.sizing.mode is SizingMode.RISK_BASED
        signals = read_signals(self.handed / SIGNALS_FILE, risk_based=risk_based)
        made: Orders = make_orders(
            signals,
            PositionSizer(self.settings.sizing),
            run_id=self.run_id,
            calendar=self.minutes.calendar,
            instruments=self._instruments(signal.symbol for signal in signals),
        )
        write_orders(self.handed / ORDERS_FILE, made.orders)
        write_unsized(self.handed / UNSIZED_FILE, made.unsized)
        reasons: dict[str, int] = {}
        for row in made.unsized:
            reasons[row.reason] = reasons.get(row.reason, 0) + 1
        step.rows_in, step.rows_out = len(signals), len(made.orders)
        step.detail = {"unsized": dict(sorted(reasons.items())), "clipped": dict(made.clips)}

    def _about(self, plugin: SignalPlugin) -> ReplayAbout:
        line = {name: value for name, value in self.effective.items() if name not in _TOLD_APART}
        return ReplayAbout(
            run_id=self.run_id,
            created_at=self.created_at,
            title=f"{self.settings.name} ({SYNTHETIC})" if self.minutes.synthetic else self.settings.name,
            mode=f"{plugin.name}_intraday",
            strategy=plugin.name,
            strategy_version=plugin.version,
            params={**self.settings.signals.params, "line": line},
            sizing=self.settings.sizing.model_dump(mode="json"),
            seed=self.settings.seed,
        )

    def _replay_settings(self) -> ReplaySettings:
        known = {"tz": self.tz, "calendar": self.minutes.calendar.name, "requested_end": self.settings.data.end}
        return self.settings.replay.model_copy(update=known)

    def _instruments(self, symbols: Iterable[str]) -> dict[str, Instrument]:
        return {symbol: self._instrument(symbol) for symbol in symbols}

    def _instrument(self, symbol: str) -> Instrument:
        sizing = self.settings.sizing
        return Instrument(
            symbol=symbol,
            calendar=self.minutes.calendar.name,
            tick_size=None if sizing.tick_size is None else float(sizing.tick_size),
            lot_step=float(sizing.lot_step),
            min_quantity=float(sizing.min_qty),
            multiplier=float(sizing.multiplier),
        )


@contextmanager
def _set_aside(folder: Path) -> Iterator[None]:
    """Make way for a run of the same name; what it left before is gone once the new one has ended, in whatever way."""
    before = folder.with_name(f".{folder.name}.before")
    try:
        shutil.rmtree(before, ignore_errors=True)
        if folder.exists():
            folder.rename(before)
    except OSError as exc:
        raise storage_error("replace", folder, exc) from exc
    try:
        yield
    finally:
        shutil.rmtree(before, ignore_errors=True)


@contextmanager
def _step(run: ReplayRunDirectory, steps: Steps, name: str) -> Iterator[Step]:
    """Make a stage known to the run directory and to whoever looks on."""
    with run.step(name) as kept, steps.step(name) as step:
        try:
            yield step
        finally:
            kept |= {"rows_in": step.rows_in, "rows_out": step.rows_out, **step.detail}
