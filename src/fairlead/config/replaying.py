"""A finished run, wired to be run again: the same configuration on the same data, or the same data with another strategy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fairlead.backtest.info import RunInfo
from fairlead.config.document import parse_yaml
from fairlead.config.effective import dump_yaml
from fairlead.config.interpolation import interpolate
from fairlead.config.loading import settings_of
from fairlead.config.overrides import apply_overrides
from fairlead.config.problems import ConfigurationProblems, Origin
from fairlead.config.settings import InstrumentSettings
from fairlead.config.wire import WiredSession, wire
from fairlead.core.errors import ConfigurationError, DataError, DataNotFound, UnknownName
from fairlead.core.identity import slug
from fairlead.engine.session import SessionPlan

_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class ReplaySession:
    """A run that can be run again.

    Attributes
    ----------
    info : RunInfo
        Of the original.
    session : WiredSession
        The same data, and the same strategies unless others were asked for.
    is_changed : bool
        Whether a strategy or a parameter is another, so that other orders are to be expected.
    """

    info: RunInfo
    session: WiredSession
    is_changed: bool

    def plan(self, run_id: str) -> SessionPlan:
        """Return a fresh plan that records, with the strategies named as in the original."""
        plan = self.session.plan(run_id)
        if _from_python(self.info.config):
            name = str(self.info.config["strategies"][0]["name"])
            plan = replace(plan, allocations=tuple(replace(a, name=name) for a in plan.allocations))
        return replace(plan, record=True)


def wire_replay(
    info: RunInfo,
    workspace: Path,
    *,
    strategy: str | None = None,
    params: Sequence[str] = (),
    speed: str = "max",
) -> ReplaySession:
    """Find the data and the strategies of a run again.

    Parameters
    ----------
    info : RunInfo
        What the run directory says of the run.
    workspace : Path
    strategy : str, optional
        Runs in place of the run's own, with its capital and limits; of a run with several, ``name=strategy``.
    params : sequence of str
        ``key=value`` each; of a run with several strategies, ``name.key=value``.
    speed : str
        Of the clock: ``max``, or a multiple of real time.

    Raises
    ------
    ConfigurationError
        If a strategy or a parameter is not as described, or the configuration no longer fits this version.
    DataNotFound, DataError
        If the data is not there, or is not what the run was made from.
    """
    config = _of_call(info, strategy) if _from_python(info.config) else dict(info.config)
    config, overrides = _changed(config, strategy, params, speed)
    origin = Origin(0, 1, f"configuration of run {info.run_id}")
    root = parse_yaml(dump_yaml(config), lambda _line: origin)
    try:
        loaded = settings_of(interpolate(apply_overrides(root, overrides), {}), Path(info.run_id))
    except ConfigurationProblems as exc:
        raise ConfigurationProblems(_as_typed(problem) for problem in exc.problems) from exc
    path = getattr(loaded.settings.data, "path", None)
    if path is not None and not Path(path).exists():
        raise DataNotFound(
            f"run {info.run_id} read its data from {path}, which is not here. "
            "Replay it in the folder in which it was made, or put the data back."
        )
    session = wire(loaded, {}, workspace)
    found = session.source.content_hash
    if found != info.dataset_hash:
        raise DataError(
            f"the data of run {info.run_id} has changed: dataset {info.dataset!r} is {found[:_SHOWN]} now and was "
            f"{info.dataset_hash[:_SHOWN]}. Restore it, or run the configuration again: the old orders belong to the old data."
        )
    return ReplaySession(info, session, is_changed=strategy is not None or bool(params))


def _as_typed(problem: str) -> str:
    """Return a problem in the words of the command line, which sets values in a configuration by paths of its own."""
    text = re.sub(r"override -o strategies\.\d+\.params\.", "--param ", problem)
    return text.replace("override -o clock.speed=", "--speed ")


def _from_python(config: Mapping[str, Any]) -> bool:
    # A call has no clock; a file always has one, if only by default.
    return "clock" not in config


def _of_call(info: RunInfo, strategy: str | None) -> dict[str, Any]:
    """Return the configuration file that says what a call of `fairlead.backtest` said."""
    config = info.config
    entry, data, features = config["strategies"][0], config["data"], config.get("features") or {}
    module = str(entry["strategy"]).partition(":")[0]
    again = "Run its script again, and compare the two runs: fairlead compare A B."
    if "source" not in data or data["source"] == "memory":
        raise DataNotFound(f"run {info.run_id} was made in Python from prices that a run does not keep. {again}")
    if strategy is None and (module == "__main__" or module.startswith("fairlead_file_")):
        raise ConfigurationError(
            f"the strategy of run {info.run_id} was defined where a replay cannot find it ({module}). "
            f"Name its file: --strategy FILE.py. Or: {again[0].lower()}{again[1:]}"
        )
    if features.get("facts_sha256") is not None:
        raise DataNotFound(f"run {info.run_id} was made in Python with facts of companies that a run does not keep. {again}")
    universe = config.get("universe") or {}
    if "sha256" in universe:
        raise DataNotFound(f"run {info.run_id} was made in Python with a universe that a run does not keep. {again}")
    known = set(InstrumentSettings.model_fields)
    return {
        "mode": "backtest",
        "name": info.title,
        "seed": config["seed"],
        "clock": {"start_date": data["start"], "end_date": data["end"]},
        "data": {name: data[name] for name in ("source", "dataset", "symbols", "bar_size")},
        "execution": config["execution"],
        "universe": universe,
        "features": {"benchmark": features.get("benchmark")},
        "instruments": {
            symbol: {name: value for name, value in item.items() if name in known}
            for symbol, item in config["instruments"].items()
        },
        **{name: config[name] for name in ("risk", "enforcement") if name in config},
        "strategies": [{name: value for name, value in entry.items() if name != "version"}],
    }


def _changed(
    config: dict[str, Any], strategy: str | None, params: Sequence[str], speed: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration with another strategy in it, and the overrides that set speed and parameters."""
    entries = [dict(entry) for entry in config["strategies"]]
    enabled = [i for i, entry in enumerate(entries) if entry.get("enabled", True)]
    names = {slug(str(entries[i]["name"])): i for i in enabled}
    if strategy is not None:
        name, equals, reference = strategy.partition("=")
        at = _named(names, name, "--strategy NAME=STRATEGY") if equals else _only(names, "--strategy", strategy)
        entries[at] |= {"strategy": reference if equals else strategy, "params": {}}
    overrides = [f"clock.speed={speed}"]
    for text in params:
        key, equals, value = text.partition("=")
        owner, dot, own_key = key.partition(".")
        if not (equals and key):
            raise ConfigurationError.of("--param", "be key=value", text)
        at = _named(names, owner, "--param NAME.KEY=VALUE") if dot else _only(names, "--param", text)
        overrides.append(f"strategies.{at}.params.{own_key if dot else key}={value}")
    return {**config, "strategies": entries, "workspace": None}, overrides


def _named(names: Mapping[str, int], name: str, remedy: str) -> int:
    if name not in names:
        raise UnknownName.among("strategy of this run", name, names, f"Write {remedy}.")
    return names[name]


def _only(names: Mapping[str, int], option: str, text: str) -> int:
    if len(names) > 1:
        join = "=" if option == "--strategy" else "."
        first = next(iter(names))
        rule = f"name one of the run's strategies ({', '.join(names)})"
        raise ConfigurationError.of(option, rule, text, f"Write {option} {first}{join}{text}.")
    return next(iter(names.values()))
