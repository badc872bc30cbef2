"""`SweepResult`: what became of every parameter set, which were best, and how much of that is luck."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from statistics import NormalDist, variance
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from fairlead.backtest.info import plain
from fairlead.backtest.objectives import natural, objective_of
from fairlead.backtest.result import SYNTHETIC_NOTE
from fairlead.backtest.space import ParameterSpace, Values
from fairlead.backtest.trials import STATUSES, Trial
from fairlead.backtest.trialstore import Study, TrialStore
from fairlead.contracts.files import atomic_directory, sha256_file, write_json
from fairlead.core.errors import UnknownName

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SWEEPS: Final = "sweeps"
KIND: Final = "sweep"
MANIFEST_SCHEMA: Final = "1.0"
_EULER: Final = 0.5772156649
_EDGE: Final = 3


def luckiest_of(count: int, spread: float) -> float:
    """Return the expected best of `count` independent trials without skill whose values have variance `spread`.

    The threshold of the deflated Sharpe ratio (domain rule 11); 0 for a single trial.
    """
    if count < 2:
        return 0.0
    inverse = NormalDist().inv_cdf
    return math.sqrt(spread) * ((1 - _EULER) * inverse(1 - 1 / count) + _EULER * inverse(1 - 1 / (count * math.e)))


class SweepResult:
    """The trials of one sweep.

    Parameters
    ----------
    study : Study
        What was planned, on which code and data.
    trials : mapping of int to Trial
        By their place in the sweep.
    tried, tried_before : int
        Different runs of this strategy on this data in the workspace: all of them, and those that only other studies made.
    workspace : path
        Where `save` writes by default.
    """

    def __init__(self, study: Study, trials: Mapping[int, Trial], *, tried: int, tried_before: int, workspace: Path) -> None:
        self.study = study
        self.trials = {ordinal: trials[ordinal] for ordinal in sorted(trials)}
        self.tried = tried
        self.tried_before = tried_before
        self.workspace = workspace
        self.objective: str = study.plan["objective"]

    @classmethod
    def of(cls, study: Study, trials: Mapping[int, Trial], store: TrialStore) -> SweepResult:
        """Return the result of trials that `store` holds."""
        in_all = store.distinct(study.strategy, study.data_hash)
        own = store.distinct(study.strategy, study.data_hash, study=study.id)
        return cls(study, trials, tried=in_all, tried_before=in_all - own, workspace=store.path.parent)

    @classmethod
    def load(cls, workspace: str | Path, name: str = "latest") -> SweepResult:
        """Return a sweep of a workspace, finished or not.

        Raises
        ------
        DataNotFound
            If there is none of that name.
        """
        with TrialStore(workspace) as store:
            study = store.study(name, KIND)
            return cls.of(study, store.trials(study.id), store)

    @property
    def id(self) -> str:
        """Name of the sweep."""
        return self.study.id

    @cached_property
    def space(self) -> ParameterSpace:
        """Which values each parameter could have."""
        return ParameterSpace.from_dict(self.study.plan["space"])

    @cached_property
    def values(self) -> dict[int, float]:
        """The objective of each trial for which it is defined, larger is better."""
        judge = objective_of(self.objective)[1]
        judged = {ordinal: judge(trial) for ordinal, trial in self.trials.items() if trial.completed}
        return {ordinal: value for ordinal, value in judged.items() if value is not None}

    @cached_property
    def ranking(self) -> list[int]:
        """Places of the trials, the best first; of equals the earlier."""
        return sorted(self.values, key=lambda ordinal: (-self.values[ordinal], ordinal))

    @property
    def best(self) -> Trial | None:
        """The best trial; None if the objective is defined for none."""
        return self.trials[self.ranking[0]] if self.ranking else None

    @property
    def counts(self) -> dict[str, int]:
        """How many trials ended in each way."""
        found = Counter(trial.status for trial in self.trials.values())
        return {status: found[status] for status in STATUSES}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to run. A search that found no new parameter sets may end below its plan."""
        return len(self.trials) >= self.study.planned

    @cached_property
    def luck(self) -> float | None:
        """The best annual Sharpe that as many trials without skill would be expected to show; None below two trials."""
        sharpes = [float(s) for t in self.trials.values() if (s := t.metrics.get("sharpe")) is not None]
        return luckiest_of(self.tried, variance(sharpes)) if len(sharpes) > 1 else None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per trial, in order: parameters, status, every metric, hashes; NaN where a metric is not defined."""
        import pandas as pd  # noqa: PLC0415  pandas loads only for those who look at frames

        return pd.DataFrame(self.rows(), index=pd.Index(list(self.trials), name="trial"))

    @cached_property
    def returns(self) -> pd.DataFrame:
        """Return of each session: a row per session, a column per completed trial."""
        import pandas as pd  # noqa: PLC0415  as in `frame`

        columns = {
            ordinal: pd.Series(t.returns, index=pd.DatetimeIndex(t.days.astype("datetime64[D]"), tz="UTC"))
            for ordinal, t in self.trials.items()
            if t.completed
        }
        return pd.DataFrame(columns).rename_axis(index="session", columns="trial")

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row per trial; a metric of the name of a parameter gives way to it."""
        axes = self.space.axes
        return [
            {
                **{name: trial.params[name] for name in axes},
                "status": trial.status,
                **{name: value for name, value in trial.metrics.items() if name not in axes},
                "reason": trial.reason,
                "digest": trial.digest,
                "config_hash": trial.config_hash,
                "seconds": trial.seconds,
            }
            for trial in self.trials.values()
        ]

    @property
    def warnings(self) -> list[str]:
        """What a careful reader of this result must know."""
        notes = []
        if self.tried > 1:
            notes.append(self._luck_note())
        failed = [trial for trial in self.trials.values() if trial.status == "failed"]
        if failed:
            notes.append(f"{len(failed)} of {len(self.trials)} trials failed; the first: {failed[0].reason}")
        if not self.is_complete:
            notes.append(f"{len(self.trials)} of {self.study.planned} trials are there.")
        notes += [
            f"The best {name}, {value}, is the end of its range: a better one may lie beyond." for name, value in self._edges()
        ]
        if self.study.synthetic:
            notes.append(SYNTHETIC_NOTE)
        return notes

    def summary(self, best: int = 10) -> dict[str, Any]:
        """Return the sweep in short as JSON-able data."""
        return {
            "sweep": self.id,
            "title": self.study.title,
            "strategy": self.study.strategy,
            "dataset": self.study.dataset,
            "synthetic": self.study.synthetic,
            "objective": self.objective,
            "space": str(self.space),
            "search": self.study.plan["search"],
            "planned": self.study.planned,
            "counts": self.counts,
            "tried_in_all": self.tried,
            "sharpe_by_luck": self.luck,
            "best": [
                {
                    "trial": ordinal,
                    "params": plain(self.trials[ordinal].params),
                    "objective": natural(self.objective, self.values[ordinal]),
                    "metrics": dict(self.trials[ordinal].metrics),
                    "digest": self.trials[ordinal].digest,
                }
                for ordinal in self.ranking[:best]
            ],
            "warnings": self.warnings,
        }

    def plot(self, kind: Literal["heatmap", "parallel"] = "heatmap") -> Figure:
        """Return a matplotlib figure.

        Parameters
        ----------
        kind : {"heatmap", "parallel"}
            The objective over two parameters, or a line per trial across all of them.

        Raises
        ------
        UnknownName
            If there is no such plot.
        """
        from fairlead.backtest import sweep_plots  # noqa: PLC0415  matplotlib loads only for those who plot

        if kind == "heatmap":
            return sweep_plots.heatmap_figure(self)
        if kind == "parallel":
            return sweep_plots.parallel_figure(self)
        raise UnknownName.among("plot", kind, ("heatmap", "parallel"))

    def save(self, workspace: str | Path | None = None, *, plots: bool = True) -> Path:
        """Write ``sweeps/<id>/`` below the workspace, in place of what an interrupted sweep left there, and return it.

        It holds ``trials.csv``, ``returns.parquet``, the pictures and ``manifest.json``, which states their hashes.

        Raises
        ------
        StorageError
            If the disk refuses; nothing is left half-written.
        """
        import polars as pl  # noqa: PLC0415  only where something is written

        from fairlead.backtest.plots import to_png  # noqa: PLC0415  as in `plot`

        pictures = {}
        if plots and self.ranking:
            if len(self.space.axes) > 1:
                pictures["heatmap.png"] = to_png(self.plot("heatmap"))
            pictures["parallel.png"] = to_png(self.plot("parallel"))
        frame = pl.DataFrame([_flat(row) for row in self._table()], infer_schema_length=None)
        target = Path(workspace if workspace is not None else self.workspace) / SWEEPS / self.id
        with atomic_directory(target, replace=True) as folder:
            frame.write_csv(folder / "trials.csv")
            pl.from_pandas(self.returns.rename(columns=str).reset_index()).write_parquet(folder / "returns.parquet")
            for name, picture in pictures.items():
                (folder / name).write_bytes(picture)
            files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
            study = {
                name: getattr(self.study, name)
                for name in (
                    "id",
                    "kind",
                    "created_at",
                    "version",
                    "plan",
                    "config",
                    "code_hash",
                    "config_hash",
                    "data_hash",
                    "command",
                )
            }
            write_json(
                folder / "manifest.json",
                {"schema_version": MANIFEST_SCHEMA, **study, **self.summary(), "files": files},
            )
        return target

    def _table(self) -> list[dict[str, Any]]:
        rows = self.rows()
        names = dict.fromkeys(name for row in sorted(rows, key=lambda r: r["status"] != "completed") for name in row)
        return [
            {"trial": ordinal, **{name: row.get(name) for name in names}}
            for ordinal, row in zip(self.trials, rows, strict=True)
        ]

    def _luck_note(self) -> str:
        before = f", {self.tried_before} of them before this sweep" if self.tried_before else ""
        note = f"{self.tried} parameter sets were tried on this data{before}."
        best = None if self.best is None else self.best.metrics.get("sharpe")
        if self.luck is None or best is None:
            return note
        verdict = "does not exceed that" if best <= self.luck else "exceeds that, which is no proof"
        luck = f"As many without any skill would show a best Sharpe near {self.luck:.2f}"
        return f"{note} {luck}; the best here, {best:.2f}, {verdict}."

    def _edges(self) -> list[tuple[str, Any]]:
        if self.best is None:
            return []
        found = []
        for name, axis in self.space.axes.items():
            ends = _ends(axis.values) if isinstance(axis, Values) else ()
            if self.best.params[name] in ends:
                found.append((name, self.best.params[name]))
        return found

    def __repr__(self) -> str:
        best = self.best
        told = "none completed" if best is None else f"best {best.params}: {self.objective} {best.metrics[self.objective]:.4g}"
        return f"SweepResult({self.id!r}, {len(self.trials)} of {self.study.planned} trials, {told})"


def _ends(values: tuple[Any, ...]) -> tuple[Any, ...]:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    is_range = len(values) >= _EDGE and numbers == sorted(values if len(numbers) == len(values) else ())
    return (numbers[0], numbers[-1]) if is_range else ()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, list | tuple | dict) else _number(value) for name, value in row.items()}


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
