"""From a wired session to a study: the same run over and over, with other parameters of one strategy."""

from __future__ import annotations

from fairlead.backtest.trials import StrategyEntry, TrialSetup
from fairlead.config.wire import WiredSession
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.identity import slug


def trial_setup(session: WiredSession, strategy: str | None = None) -> TrialSetup:
    """Return what the trials of a configuration share.

    Parameters
    ----------
    session : WiredSession
    strategy : str, optional
        Name of the strategy in the file whose parameters vary; may be left out if only one is enabled.

    Raises
    ------
    UnknownName
        If no enabled strategy has that name.
    ConfigurationError
        If there are several and none is named.
    """
    settings = session.loaded.settings
    enabled = [(i, entry) for i, entry in enumerate(settings.strategies) if entry.enabled]
    names = [entry.name for _, entry in enabled]
    if strategy is None and len(enabled) > 1:
        raise ConfigurationError.of("strategy", f"be one of {', '.join(names)}", None, "Name it: --strategy NAME.")
    if strategy is not None and strategy not in names:
        raise UnknownName.among("enabled strategy", strategy, names)
    varied = 0 if strategy is None else names.index(strategy)
    return TrialSetup(
        title=session.title,
        plan=session.plan(),
        entries=tuple(
            StrategyEntry(
                name=slug(entry.name),
                strategy=entry.reference,
                params=entry.params,
                capital=entry.capital,
                limits=entry.risk_limits,
                sizing=entry.sizing,
            )
            for _, entry in enabled
        ),
        config=session.loaded.effective,
        varied=varied,
        position=enabled[varied][0],
    )
