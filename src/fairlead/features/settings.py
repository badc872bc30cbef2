"""How the features of a run are computed and kept, as settings."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError


class FeatureSettings(Settings):
    """The ``features`` section of a configuration.

    Parameters
    ----------
    cache : bool
        Read values that the workspace keeps, and keep those of features that ask for it (``caching="disk"``).
    compute_on_demand : bool
        Compute what is not kept. Off: refuse it, so that a run uses nothing but what was materialised.
    benchmark : str, optional
        The symbol of the run whose closes features read as ``benchmark``.
    facts : Path, optional
        A CSV or Parquet file of published facts, which features read as ``fact.*``. Relative to the current folder.
    """

    cache: bool = True
    compute_on_demand: bool = True
    benchmark: str | None = Field(default=None, min_length=1)
    facts: Path | None = None

    @model_validator(mode="after")
    def _values_come_from_somewhere(self) -> Self:
        if not (self.cache or self.compute_on_demand):
            remedy = "Set one of the two to true: values are read from the cache or computed."
            raise ConfigurationError.of("compute_on_demand", "be true where cache is false", value=False, remedy=remedy)
        return self
