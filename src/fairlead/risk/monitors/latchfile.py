"""The file of a kill latch: whole, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from fairlead.contracts.files import atomic_write_bytes, canonical_json, sha256_bytes, write_json
from fairlead.core.errors import ContractError, StorageError
from fairlead.risk.monitors.settings import HaltAction

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A switch that was tripped and not yet re-armed.

    Parameters
    ----------
    switch : str
        Its id; ``LATCH_FILE`` if the state of the latch itself could not be read.
    strategy : str
        Whose book it was; empty for the whole session.
    reason : str
        What was measured, or who commanded it and why.
    ts_ns : int
    session : int
        Date of the session it happened in, in days since the epoch.
    """

    switch: str
    action: HaltAction
    reason: str
    ts_ns: int
    session: int
    strategy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def of(cls, held: Mapping[str, Any]) -> Self:
        """Return the trip that `to_dict` gave."""
        return cls(**{**held, "action": HaltAction(held["action"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rearm:
    """An operator's decision to trade again; `ts_ns` is when, `strategy` whose halt it lifted, empty for the session's."""

    who: str
    reason: str
    ts_ns: int
    strategy: str = ""


@dataclass(frozen=True, slots=True)
class LatchState:
    """What the latch keeps: what is tripped, and the last re-arm of the session and of each strategy."""

    trips: tuple[Trip, ...] = ()
    rearms: dict[str, Rearm] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        rearms = {name: asdict(rearm) for name, rearm in self.rearms.items()}
        return {"trips": [trip.to_dict() for trip in self.trips], "rearms": rearms}

    @classmethod
    def of(cls, held: Mapping[str, Any]) -> Self:
        """Return the state that `to_dict` gave."""
        return cls(
            tuple(Trip.of(values) for values in held["trips"]),
            {name: Rearm(**values) for name, values in held["rearms"].items()},
        )


def write_state(path: Path, state: LatchState) -> None:
    """Write the state so that the file holds the old or the new, on the disk when this returns.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    plain = {"version": _VERSION, **state.to_dict()}
    write_json(path, {**plain, "checksum": _checksum(plain)})


def read_state(path: Path) -> LatchState:
    """Return the state that a file holds.

    Raises
    ------
    ContractError
        If it is not what `write_state` wrote, whatever the difference.
    StorageError
        If the disk refuses.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise StorageError(f"cannot read {path}: {exc.strerror or exc}.") from exc
    try:
        held = json.loads(data)
        checksum = held.pop("checksum")
        if held["version"] != _VERSION or checksum != _checksum(held):
            raise ContractError.of(str(path), f"be of version {_VERSION} with its own checksum", checksum)
        return LatchState.of(held)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        raise ContractError(f"{path} is damaged and does not say whether trading is halted: {exc}") from exc


def put_aside(path: Path) -> Path | None:
    """Keep a copy of a damaged file beside it, named by its content, for whoever investigates; None if that fails."""
    try:
        data = path.read_bytes()
        copy = path.with_name(f"{path.name}.damaged-{sha256_bytes(data)[:8]}")
        atomic_write_bytes(copy, data)
    except (OSError, StorageError):
        return None
    return copy


def _checksum(plain: dict[str, Any]) -> str:
    return sha256_bytes(canonical_json(plain).encode())
