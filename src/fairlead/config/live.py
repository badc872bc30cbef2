"""The shape of what paper and live sessions need; the components behind it, when they come, take these classes over."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fairlead.contracts.settings import Settings


class RealtimeClockSettings(Settings):
    """The clock of paper and live sessions: the real one.

    Parameters
    ----------
    hours : {'market', '24/7'}
        What `fairlead session status` and the log say of the market: when it opens and closes by the exchange's calendar, or
        nothing. Orders outside its hours are for guard G8 to refuse, and for data none is expected then.
    """

    type: Literal["realtime"]
    hours: Literal["market", "24/7"] = "market"


class BrokerSettings(Settings):
    """Orders to a broker.

    Parameters
    ----------
    broker : str
        A registered broker, or ``package.module:Class``.
    account : str, optional
        Account at the broker; None for its only one.
    api_key, api_secret : str, optional
        Credentials; give them as ``${NAME}``, never in the file.
    """

    type: Literal["broker"]
    broker: str = Field(min_length=1)
    account: str | None = None
    api_key: str | None = None
    api_secret: str | None = None
