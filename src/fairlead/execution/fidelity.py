"""What a run's orders meet: bars, quotes or trades, as its settings say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairlead.core.instruments import Instrument
from fairlead.data.ticks import TickSource
from fairlead.execution.latency import Latency
from fairlead.execution.pricing import SessionClose
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.simulated import SimulatedExecution
from fairlead.execution.ticking import TickExecution
from fairlead.execution.venue import Afford, Venue
from fairlead.execution.working import Heard, Held


def ticks_of(settings: ExecutionSettings, symbols: Sequence[str]) -> TickSource | None:
    """Open the quotes and trades that a run's orders meet; None if they meet bars.

    Raises
    ------
    DataNotFound
        If there is no such file.
    DataError
        If one cannot be read.
    ContractError
        If it does not hold what the fidelity needs.
    """
    if settings.ticks is None:
        return None
    return TickSource(settings.ticks, symbols, trades=settings.fidelity == "trades")


def open_execution(
    settings: ExecutionSettings,
    instruments: Mapping[str, Instrument],
    latency: Latency,
    hear: Heard,
    *,
    ticks: TickSource | None = None,
    held: Held | None = None,
    afford: Afford | None = None,
    one_bar_sessions: bool = False,
    session_close: SessionClose | None = None,
) -> Venue:
    """Return the venue of a run; see `Venue` for the other parameters.

    Parameters
    ----------
    ticks : TickSource, optional
        What `ticks_of` has opened; read from its beginning.
    """
    if ticks is None:
        return SimulatedExecution(
            settings,
            instruments,
            latency,
            hear,
            held=held,
            afford=afford,
            one_bar_sessions=one_bar_sessions,
            session_close=session_close,
        )
    return TickExecution(
        ticks.stream(),
        settings,
        instruments,
        latency,
        hear,
        held=held,
        afford=afford,
        one_bar_sessions=one_bar_sessions,
        session_close=session_close,
    )
