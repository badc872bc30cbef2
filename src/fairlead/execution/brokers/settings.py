"""How a broker is kept in touch with."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.data.live.settings import ReconnectSettings

BACK_OFF_S: Final = 5.0
"""How long nothing is asked after the broker has said that it was too much, unless settings say otherwise."""


class LinkSettings(Settings):
    """How a broker is kept in touch with.

    Parameters
    ----------
    attempt_s : float
        Seconds that an attempt to connect, or one question, may take.
    start_s : float
        So many seconds at most a session waits for its broker before it begins to take market data in: what is decided while it
        cannot be reached does not leave, and a strategy that decides once would never trade.
    silence_s : float
        After so many seconds without a word the broker is asked for one; if it does not answer, the connection counts as lost.
    overlap_s : float
        So much of what was heard before a loss is asked for again: clocks differ, and to hear something twice costs nothing.
    looks_s : tuple of float
        Seconds before each look for an order of which it is not known whether it arrived: a broker may be slow to show it.
    back_off_s : float
        For so many seconds nothing is asked after the broker has said that it was too much.
    reconnect : ReconnectSettings
    """

    attempt_s: float = Field(default=10.0, gt=0, le=300)
    start_s: float = Field(default=20.0, ge=0, le=3600)
    silence_s: float = Field(default=15.0, gt=0, le=3600)
    overlap_s: float = Field(default=300.0, ge=0, le=86_400)
    looks_s: Annotated[tuple[Annotated[float, Field(ge=0, le=300)], ...], Field(min_length=1)] = (0.5, 1.0, 2.0, 4.0, 8.0)
    back_off_s: float = Field(default=BACK_OFF_S, gt=0, le=300)
    reconnect: ReconnectSettings = ReconnectSettings()
