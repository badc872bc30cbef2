"""Wiring: validated settings become the parts of a session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fairlead.config.loading import LoadedConfig
from fairlead.config.settings import SessionSettings
from fairlead.contracts.workspace import workspace_folder
from fairlead.core.errors import ConfigurationError, ContractError, DataError, FairleadError, UnknownName
from fairlead.core.identity import slug
from fairlead.data.opening import open_source
from fairlead.data.settings import DataSettings
from fairlead.data.source import DataSource
from fairlead.data.universe import Universe
from fairlead.engine.clock import ClockSettings
from fairlead.engine.session import Allocation, SessionPlan
from fairlead.execution.fidelity import ticks_of
from fairlead.execution.settings import ExecutionSettings
from fairlead.features.supply import FeatureSupply
from fairlead.sdk.registry import find_strategy

# What the data layer finds unknown, as the setting that names it.
_NAMED_BY: Final = {"no dataset named": "dataset", "no bar size": "bar_size", "no exchange calendar": "calendar"}
# The data layer speaks of arguments, as Python passes them; a file has settings.
_ZONE: Final = re.compile(r"timezone='([^']*)'")
_SETTING: Final = re.compile(r"^'(?:data\.)?(\w+)'(?= must )")
_FORMAT: Final = re.compile(r"Declare another form: stamp_format=('[^']*')")


@dataclass(frozen=True, slots=True)
class WiredSession:
    """A configuration whose data has been found and whose plan can be made, as often as needed.

    Attributes
    ----------
    loaded : LoadedConfig
    source : DataSource
    workspace : Path
        Where results go.
    features : FeatureSupply
        What features are computed from and where they are kept.
    universe : Universe, optional
        The names that the configuration's file lists.
    """

    loaded: LoadedConfig
    source: DataSource
    workspace: Path
    features: FeatureSupply
    universe: Universe | None = None

    @property
    def title(self) -> str:
        """What a person calls the run: the configuration's name, or its strategies'."""
        settings = self.loaded.settings
        return settings.name or " + ".join(entry.name for entry in settings.strategies if entry.enabled)

    def plan(self, run_id: str = "", *, profile: bool = False) -> SessionPlan:
        """Return a fresh plan: its strategies have seen nothing yet."""
        settings = self.loaded.settings
        # A feed paces itself; where there is none, the clock does.
        clock = settings.clock if isinstance(settings.clock, ClockSettings) and settings.mode == "backtest" else ClockSettings()
        execution = settings.execution
        if not isinstance(execution, ExecutionSettings):
            if settings.mode != "live":
                raise _refused(settings)
            # What orders cost is the broker's to say.
            execution = ExecutionSettings()
        return SessionPlan(
            run_id=run_id,
            allocations=tuple(
                Allocation(
                    name=slug(entry.name),
                    strategy=find_strategy(entry.reference)(**entry.params),
                    capital=entry.capital,
                    limits=entry.risk_limits,
                    sizing=entry.sizing,
                )
                for entry in settings.strategies
                if entry.enabled
            ),
            source=self.source,
            execution=execution,
            clock=clock,
            instruments={symbol: item.instrument(symbol) for symbol, item in settings.instruments.items()},
            features=self.features,
            universe=self.universe,
            liquidity=settings.universe,
            seed=settings.seed,
            profile=profile,
            record=settings.record,
            risk=settings.armed,
            guarded=settings.enforcement.guards,
        )


def wire(loaded: LoadedConfig, environ: Mapping[str, str], workspace: Path | str | None = None) -> WiredSession:
    """Open the data that a configuration asks for and check that its strategies can run on it.

    Parameters
    ----------
    loaded : LoadedConfig
    environ : mapping of str to str
        ``FAIRLEAD_HOME`` names the workspace if neither `workspace` nor the configuration does.
    workspace : path, optional
        Wins over the configuration.

    Raises
    ------
    ConfigurationError
        If the mode cannot be run yet, or data and strategies do not fit; the text names file and line.
    """
    settings = loaded.settings
    data, clock = settings.data, settings.clock
    if settings.mode != "backtest" or not isinstance(data, DataSettings) or not isinstance(clock, ClockSettings):
        raise loaded.problem(("mode",), _refused(settings))
    folder = workspace_folder(environ, workspace if workspace is not None else settings.workspace)
    return wire_on(loaded, opened(loaded, data, clock, folder), folder)


def opened(loaded: LoadedConfig, data: DataSettings, clock: ClockSettings, workspace: Path) -> DataSource:
    """Return the history that a configuration names.

    Raises
    ------
    ConfigurationError
        If it cannot be used; the text names file and line.
    """
    try:
        return open_source(data, start=clock.start_date, end=clock.end_date, workspace=workspace)
    except (ConfigurationError, ContractError, DataError) as exc:
        raise _data_problem(loaded, exc) from exc


def wire_on(loaded: LoadedConfig, source: DataSource, folder: Path) -> WiredSession:
    """Check that a configuration's strategies can run on a source, and wire them.

    Raises
    ------
    ConfigurationError
        If they cannot; the text names file and line.
    """
    settings = loaded.settings
    session = WiredSession(loaded, source, folder, _features(loaded, source, folder), _universe(loaded))
    for i, entry in enumerate(settings.strategies):
        if entry.enabled:
            _check_symbols(loaded, source, i)
    _check_ticks(loaded, source)
    return session


def _features(loaded: LoadedConfig, source: DataSource, workspace: Path) -> FeatureSupply:
    settings = loaded.settings.features
    if settings.benchmark is not None and settings.benchmark not in source.symbols:
        unknown = UnknownName.among(f"symbol in dataset {source.name!r}", settings.benchmark, source.symbols)
        raise loaded.problem(("features", "benchmark"), unknown)
    try:
        return FeatureSupply.of(settings, workspace)
    except (ContractError, DataError) as exc:
        raise loaded.problem(("features", "facts"), exc) from exc


def _universe(loaded: LoadedConfig) -> Universe | None:
    path = loaded.settings.universe.path
    if path is None:
        return None
    try:
        return Universe.load(path)
    except (ConfigurationError, ContractError, DataError) as exc:
        raise loaded.problem(("universe", "path"), exc) from exc


def _check_ticks(loaded: LoadedConfig, source: DataSource) -> None:
    execution = loaded.settings.execution
    if not isinstance(execution, ExecutionSettings):
        return
    try:
        ticks_of(execution, source.symbols)
    except (ContractError, DataError) as exc:
        raise loaded.problem(("execution", "ticks"), exc) from exc


def _check_symbols(loaded: LoadedConfig, source: DataSource, index: int) -> None:
    entry = loaded.settings.strategies[index]
    for symbol in find_strategy(entry.reference)(**entry.params).required_symbols():
        if symbol not in source.symbols:
            unknown = UnknownName.among(f"symbol in dataset {source.name!r}", symbol, source.symbols)
            raise loaded.problem(("strategies", index, "params"), unknown)


def _data_problem(loaded: LoadedConfig, exc: FairleadError) -> ConfigurationError:
    """Return what is wrong with the data, at the setting to change and in the words of a file."""
    text = _ZONE.sub(r"data.timezone: \1", str(exc))
    text = _FORMAT.sub(r"Import it first: fairlead data import FILE --stamp-format \1", text)
    if isinstance(exc, UnknownName):
        key = next((key for start, key in _NAMED_BY.items() if text.startswith(start)), "symbols")
        return loaded.problem(("data", key), UnknownName(text))
    text = _SETTING.sub(r"'\1'", text)
    if text.startswith("'data.path' "):
        return loaded.problem(("data", "path"), type(exc)(text.removeprefix("'data.path' ")))
    if not text.startswith(tuple(f"'{name}'" for name in ("data", *DataSettings.model_fields))):
        # It is about what a file holds: `'prices.csv: stamps' must` is no setting.
        text = re.sub(r"^'([^']+)'(?= must )", r"\1", text)
    if isinstance(exc, ContractError) and "\n" in text:
        text += "\nImport the file first (fairlead data import): --symbol names its symbol, --quarantine puts bad rows aside."
    return loaded.problem(("data",), type(exc)(text), fields=tuple(DataSettings.model_fields))


def _refused(settings: SessionSettings) -> ConfigurationError:
    remedy = {
        "paper": "Run it with: fairlead paper CONFIG.",
        "replay": "Replay a finished run with: fairlead replay RUN.",
    }.get(settings.mode, "Live sessions load and validate; they cannot run before there is a broker.")
    return ConfigurationError.of("mode", "be backtest here", settings.mode, remedy)
