"""Where a run's market data comes from, as settings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError


class DataSettings(Settings):
    """The ``data`` section of a configuration.

    Parameters
    ----------
    type : {'historical', 'replay', 'live'}
        What drives the run. Only history can be opened so far.
    source : {'parquet', 'csv', 'bundled', 'synthetic', 'store'}
        What kind of data `path` or `dataset` names; ``bundled`` needs neither.
    path : str, optional
        A dataset's folder, a recorded session's, a Parquet or CSV file, or a folder of such files. Relative to the current
        folder.
    recording : str, optional
        Folder of a recorded session, instead of what `path` or `dataset` name.
    dataset : str, optional
        Name of a dataset in the workspace's store.
    symbols : tuple of str
        Empty for all.
    bar_size : str, optional
        ``1min``, ``5min``, ..., ``1d``. Needed only where the data leaves it open.
    calendar : str
        Exchange calendar of data that does not name its own.
    timezone : str, optional
        IANA zone of the stamps in files that carry none.
    actions : str, optional
        File of the corporate actions of bars that are read from files or a recorded session; a dataset brings its own.
    """

    type: Literal["historical", "replay", "live"] = "historical"
    source: Literal["parquet", "csv", "bundled", "synthetic", "store"] = "parquet"
    path: str | None = None
    recording: str | None = None
    dataset: str | None = None
    symbols: tuple[str, ...] = ()
    bar_size: str | None = None
    calendar: str = "XNYS"
    timezone: str | None = None
    actions: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        named = self.path if self.path is not None else self.dataset
        if self.recording is not None and named is not None:
            raise ConfigurationError.of("recording", "be the only origin", self.recording, f"Leave out {named!r}.")
        return self
