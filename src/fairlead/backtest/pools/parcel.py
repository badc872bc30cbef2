"""A study as another process gets it: the setup, the files of its strategies, and what its code must hash to there."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from fairlead.backtest.kept import KeptSource
from fairlead.backtest.trials import TrialSetup
from fairlead.core.errors import ConfigurationError
from fairlead.sdk.registry import StrategyFile, find_strategy
from fairlead.sdk.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Parcel:
    """A study, packed.

    A strategy that is named by its file travels as that file was read; a class travels by its name, and has to be importable
    where the parcel is opened.

    Parameters
    ----------
    setup : bytes
    files : tuple of StrategyFile or None
        By entry of the setup; None for what is imported.
    code_hash : str
        Of the code that runs in every trial.
    """

    setup: bytes
    files: tuple[StrategyFile | None, ...]
    code_hash: str

    @classmethod
    def of(cls, setup: TrialSetup, remedy: str) -> Parcel:
        """Pack a study.

        Raises
        ------
        ConfigurationError
            If it holds what cannot be sent; `remedy` says what else to do.
        """
        try:
            packed = pickle.dumps(setup)
        except (pickle.PicklingError, AttributeError, TypeError) as exc:
            told = f"Put the strategy at the top level of a file, or {remedy}."
            raise ConfigurationError.of("study", "be such that other processes can be given it", str(exc), told) from exc
        named = (entry.strategy for entry in setup.entries)
        files = tuple(StrategyFile.named_in(name) if isinstance(name, str) else None for name in named)
        return cls(packed, files, setup.code_hash)

    def opened(self, remedy: str) -> TrialSetup:
        """Return the study, with history that is read once and kept.

        Raises
        ------
        ConfigurationError
            If a strategy cannot be imported here, or the code here is another.
        """
        try:
            setup = pickle.loads(self.setup)  # noqa: S301  written by `of`, and sent over a way that only we write to
        except (ImportError, AttributeError) as exc:
            told = f"Put the strategy at the top level of a file that can be imported, or {remedy}."
            raise ConfigurationError(f"another process cannot load the study: {exc}. {told}") from exc
        assert isinstance(setup, TrialSetup)
        named = zip(setup.entries, self.files, strict=True)
        setup = setup.with_classes(
            tuple(_class_of(entry.strategy) if file is None else file.strategy() for entry, file in named)
        )
        if setup.code_hash != self.code_hash:
            told = "Results would not be comparable: have the same Fairlead and the same strategies everywhere."
            raise ConfigurationError(f"another process runs other code than the one that started the study. {told}")
        return setup.on(KeptSource(setup.source))


def _class_of(strategy: str | type[Strategy]) -> type[Strategy]:
    return find_strategy(strategy) if isinstance(strategy, str) else strategy
