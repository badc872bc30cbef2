"""The shape of what paper and live sessions need; the components behind it, when they come, take these classes over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fairlead.contracts.settings import Settings
from fairlead.core.instruments import check_symbol

Symbol = Annotated[str, AfterValidator(check_symbol)]


class RealtimeClockSettings(Settings):
    """The clock of paper and live sessions: the real one.

    Parameters
    ----------
    hours : {'market', '24/7'}
        When the session runs.
    """

    type: Literal["realtime"]
    hours: Literal["market", "24/7"] = "market"


class LiveDataSettings(Settings):
    """Market data as it happens.

    Parameters
    ----------
    feed : str
        A registered live feed, or ``package.module:Class``.
    symbols : tuple of str
        What to subscribe to.
    max_age_s : float
        Data older than this stops new orders.
    api_key, api_secret : str, optional
        Credentials; give them as ``${NAME}``, never in the file.
    """

    type: Literal["live"]
    feed: str = Field(min_length=1)
    symbols: tuple[Symbol, ...] = Field(min_length=1)
    max_age_s: float = Field(default=60.0, gt=0, le=3600)
    api_key: str | None = None
    api_secret: str | None = None


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
