"""The trials of a workspace, in ``registry.db``: one row each, written as it finishes, never changed.

Statistics that correct for many trials need all of them, the failed ones and those of last month too. So there is one store for
every study of a workspace, and nothing in it is ever deleted: the database itself refuses it. A row is committed before the
next trial is waited for, so that a kill loses no trial that was reported.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import numpy as np

from fairlead.backtest.trials import Trial
from fairlead.contracts.files import canonical_json
from fairlead.core.arrays import DayArray
from fairlead.core.errors import DataError, DataNotFound, StorageError

REGISTRY: Final = "registry.db"
_VERSION: Final = 1
_WAIT_S: Final = 30.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS registry_versions (part TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS studies (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, created_at TEXT NOT NULL, title TEXT NOT NULL, strategy TEXT NOT NULL,
    version TEXT NOT NULL, planned INTEGER NOT NULL, plan TEXT NOT NULL, config TEXT NOT NULL, dataset TEXT NOT NULL,
    synthetic INTEGER NOT NULL, code_hash TEXT NOT NULL, config_hash TEXT NOT NULL, data_hash TEXT NOT NULL,
    command TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS session_days (sha256 TEXT PRIMARY KEY, days BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    study TEXT NOT NULL REFERENCES studies (id), ordinal INTEGER NOT NULL, params TEXT NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, strategy TEXT NOT NULL, version TEXT NOT NULL, metrics TEXT NOT NULL, days TEXT NOT NULL,
    returns BLOB NOT NULL, code_hash TEXT NOT NULL, config_hash TEXT NOT NULL, data_hash TEXT NOT NULL, digest TEXT NOT NULL,
    seconds REAL NOT NULL, PRIMARY KEY (study, ordinal)
);
CREATE INDEX IF NOT EXISTS trials_by_strategy ON trials (strategy, data_hash);
CREATE TRIGGER IF NOT EXISTS trials_stay BEFORE UPDATE ON trials BEGIN SELECT RAISE(ABORT, 'trials are never changed'); END;
CREATE TRIGGER IF NOT EXISTS trials_remain BEFORE DELETE ON trials BEGIN SELECT RAISE(ABORT, 'trials are never deleted'); END;
"""
_TRIAL_FIELDS: Final = (
    "params", "status", "reason", "strategy", "version", "metrics", "days", "returns", "code_hash", "config_hash", "data_hash",
    "digest", "seconds",
)  # fmt: skip
_INSERT: Final = f"INSERT OR IGNORE INTO trials (study, ordinal, {', '.join(_TRIAL_FIELDS)}) VALUES ({', '.join('?' * 15)})"  # noqa: S608  names of our own
_SELECT: Final = f"SELECT ordinal, {', '.join(_TRIAL_FIELDS)} FROM trials WHERE study = ? ORDER BY ordinal"  # noqa: S608  as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A set of trials that were planned together.

    Attributes
    ----------
    id : str
        ``sw_{YYYYMMDDTHHMMSSZ}_{slug}_{cfg8}`` for a sweep.
    kind : str
        ``sweep``, ``walkforward``.
    created_at : str
        Instant at which it began, as text in UTC.
    title, strategy, version : str
        What varies.
    planned : int
        How many trials it set out to run.
    plan : dict
        How the parameter sets are found: space, search, seed, objective.
    config : dict
        Effective configuration before any parameter varied.
    dataset : str
    synthetic : bool
        Whether the prices were generated.
    code_hash, config_hash, data_hash : str
        SHA-256 of what all trials share.
    command : str
        What started it.
    """

    id: str
    kind: str
    created_at: str
    title: str
    strategy: str
    version: str
    planned: int
    plan: dict[str, Any]
    config: dict[str, Any]
    dataset: str
    synthetic: bool
    code_hash: str
    config_hash: str
    data_hash: str
    command: str = ""


class TrialStore:
    """The studies and trials of one workspace. Use it in a ``with`` statement.

    Parameters
    ----------
    workspace : path
        ``registry.db`` in it is made if it is not there.

    Raises
    ------
    StorageError
        If the database cannot be opened or made.
    DataError
        If it is damaged, or was made by a newer version.
    """

    def __init__(self, workspace: str | Path) -> None:
        self.path = Path(workspace) / REGISTRY
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # No implicit transactions: each statement is one, except inside `_transaction`.
            self._db = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
        except (OSError, sqlite3.Error) as exc:
            raise StorageError(f"cannot open {self.path}: {exc}. Check the path and the disk.") from exc
        try:
            with self._told("open"):
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.executescript(_SCHEMA)
                self._db.execute("INSERT OR IGNORE INTO registry_versions VALUES ('trials', ?)", (_VERSION,))
                found = self._db.execute("SELECT version FROM registry_versions WHERE part = 'trials'").fetchone()[0]
            if found != _VERSION:
                raise DataError.of(f"version of {self.path}", f"be {_VERSION}", found, "Use the Fairlead that wrote it.")
        except DataError:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; everything that was added is in it."""
        self._db.close()

    def begin(self, study: Study) -> None:
        """Record a study before its first trial.

        Raises
        ------
        DataError
            If there is one of that name.
        """
        row = {**asdict(study), "plan": canonical_json(study.plan), "config": canonical_json(study.config)}
        names = ", ".join(row)
        with self._told("write"):
            self._db.execute(f"INSERT INTO studies ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))  # noqa: S608  names of our own

    def add(self, study: str, trials: Sequence[tuple[int, Trial]]) -> None:
        """Record trials with their place in the study, all or none; one that is there already stays as it is."""
        with self._told("write"), self._transaction():
            for ordinal, trial in trials:
                row = (_json(trial.params), trial.status, trial.reason, trial.strategy, trial.version, _json(trial.metrics))
                packed = np.ascontiguousarray(trial.returns, "<f8").tobytes()
                hashes = (trial.code_hash, trial.config_hash, trial.data_hash, trial.digest)
                self._db.execute(_INSERT, (study, ordinal, *row, self._days(trial.days), packed, *hashes, trial.seconds))

    def studies(self) -> list[Study]:
        """Return every study, the newest first."""
        names = ", ".join(f.name for f in fields(Study))
        with self._told("read"):
            rows = self._db.execute(f"SELECT {names} FROM studies ORDER BY created_at DESC, id DESC").fetchall()  # noqa: S608  names of our own
        return [_study(row) for row in rows]

    def study(self, name: str, kind: str | None = None) -> Study:
        """Return a study, of one kind or of any, by its id, the beginning of exactly one, or ``latest``.

        Raises
        ------
        DataNotFound
            If there is none, or several begin so.
        """
        found = [study for study in self.studies() if kind is None or study.kind == kind]
        if name == "latest" and found:
            return found[0]
        fitting = [study for study in found if study.id == name] or [s for s in found if name and s.id.startswith(name)]
        if len(fitting) == 1:
            return fitting[0]
        what = "more than one study begins with" if fitting else f"no {kind or 'study'} named"
        shown = ", ".join(study.id for study in (fitting or found)[:5]) or "(none)"
        raise DataNotFound(f"{what} {name!r} in {self.path}. Newest: {shown}.")

    def trials(self, study: str) -> dict[int, Trial]:
        """Return the trials of a study by their place in it, in order."""
        with self._told("read"):
            rows = self._db.execute(_SELECT, (study,)).fetchall()
            stored = self._db.execute(
                "SELECT sha256, days FROM session_days WHERE sha256 IN (SELECT days FROM trials WHERE study = ?)", (study,)
            ).fetchall()
        days = {sha: np.frombuffer(blob, "<i4").astype(np.int32) for sha, blob in stored}
        return {row[0]: _trial(row[1:], days) for row in rows}

    def count(
        self,
        strategy: str | None = None,
        *,
        data_hash: str | None = None,
        study: str | None = None,
        status: Literal["completed", "failed", "refused"] | None = None,
    ) -> int:
        """Return how many trials there are, of all studies together unless one is named."""
        wanted = {"strategy": strategy, "data_hash": data_hash, "study": study, "status": status}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        with self._told("read"):
            return int(self._db.execute(f"SELECT COUNT(*) FROM trials WHERE {where}", tuple(given.values())).fetchone()[0])  # noqa: S608  names of our own

    def distinct(self, strategy: str, data_hash: str, *, study: str | None = None) -> int:
        """Return how many different runs of a strategy on some data there were: a repeated one counts once."""
        query = (
            "SELECT COUNT(DISTINCT config_hash || params) FROM trials "
            "WHERE strategy = ? AND data_hash = ? AND status != 'refused' AND (? IS NULL OR study = ?)"
        )
        with self._told("read"):
            return int(self._db.execute(query, (strategy, data_hash, study, study)).fetchone()[0])

    def _days(self, days: DayArray) -> str:
        packed = np.ascontiguousarray(days, "<i4").tobytes()
        name = hashlib.sha256(packed).hexdigest()
        self._db.execute("INSERT OR IGNORE INTO session_days VALUES (?, ?)", (name, packed))
        return name

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.rollback()
            raise
        self._db.commit()

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as exc:
            raise StorageError(f"cannot {verb} {self.path}: {exc}. Check the disk, and who else uses the workspace.") from exc
        except sqlite3.DatabaseError as exc:
            raise DataError(f"cannot {verb} {self.path}: {exc}. It is damaged or no registry; put it aside.") from exc


def _json(value: Any) -> str:
    # Not sorted: parameters and metrics have an order that people know.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _study(row: Sequence[Any]) -> Study:
    values = dict(zip((f.name for f in fields(Study)), row, strict=True))
    values |= {
        "plan": json.loads(values["plan"]),
        "config": json.loads(values["config"]),
        "synthetic": bool(values["synthetic"]),
    }
    return Study(**values)


def _trial(row: Sequence[Any], days: dict[str, DayArray]) -> Trial:
    values = dict(zip(_TRIAL_FIELDS, row, strict=True))
    values["params"], values["metrics"] = json.loads(values["params"]), json.loads(values["metrics"])
    values["days"], values["returns"] = days[values["days"]], np.frombuffer(values["returns"], "<f8").astype(np.float64)
    return Trial(**values)
