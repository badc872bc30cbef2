"""What is known about a run besides what happened in it: where it came from and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from fairlead.core.errors import ContractError

_LATER: Final = frozenset({"fidelity", "ticks", "ticks_hash"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """The identity and provenance of a run. Everything is given by the caller; nothing here reads a clock.

    Parameters
    ----------
    run_id : str
        ``bt_{YYYYMMDDTHHMMSSZ}_{slug}_{cfg8}`` (domain rule 1.6).
    title : str
        What a person calls the run: first line of ``label.txt`` and heading of the report.
    mode : str
        ``backtest``, ``replay``, ``paper`` or ``live``.
    created_at : str
        Instant at which the run was started, as text in UTC.
    seed : int
        Root of every random stream.
    dataset, dataset_hash : str
        Name of the data, and SHA-256 of what was selected from it.
    synthetic : bool
        Whether the prices were generated; every artefact says so.
    start, end : str
        First and last session date, ``YYYY-MM-DD``.
    config : dict
        Effective configuration as plain data.
    config_hash, code_hash : str
        SHA-256 of the effective configuration and of the code that ran.
    costs : dict
        Commission and slippage settings as plain data.
    command : str
        The command line or call that made the run.
    fidelity : str
        What orders met: ``bars``, ``quotes``, ``trades``, or ``a broker``.
    ticks, ticks_hash : str
        Name of the quotes and trades, and SHA-256 of their files; empty for bars.
    """

    run_id: str
    title: str
    mode: str = "backtest"
    created_at: str
    code_version: str
    python_version: str
    seed: int = 42
    dataset: str
    dataset_hash: str
    synthetic: bool
    bar_size: str
    calendar: str
    symbols: tuple[str, ...]
    start: str
    end: str
    config: dict[str, Any] = field(default_factory=dict)
    config_hash: str = ""
    code_hash: str = ""
    costs: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    fidelity: str = "bars"
    ticks: str = ""
    ticks_hash: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON-able data."""
        return {**asdict(self), "symbols": list(self.symbols)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunInfo:
        """Return the info that `to_dict` described.

        Raises
        ------
        ContractError
            If a key is missing or unknown. What runs of an earlier version do not say of their fidelity is no fault: they were
            run on bars.
        """
        known = {f.name for f in fields(cls)}
        if known - _LATER != set(data) - _LATER:
            wrong = sorted(known ^ set(data))
            raise ContractError.of("run info", f"have exactly the keys {', '.join(sorted(known))}", wrong)
        return cls(**{**data, "symbols": tuple(data["symbols"])})


def plain(value: Any) -> Any:
    """Return `value` with what is neither number, text nor container as text: a parameter may be any object."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
