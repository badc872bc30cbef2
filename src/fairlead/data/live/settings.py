"""Live and replayed market data, as settings."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from fairlead.contracts.market_messages import Symbol
from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import BarSize
from fairlead.data.settings import DataSettings

WEBSOCKET: Final = "websocket"
_SCHEMES: Final = ("ws", "wss")


def check_url(value: str) -> str:
    """Return `value` if it is the address of a websocket.

    Raises
    ------
    ConfigurationError
        If it is not.
    """
    parts = urlsplit(value)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError.of("url", "be an address such as ws://127.0.0.1:8765", value)
    return value


class ReconnectSettings(Settings):
    """How a lost connection is sought again.

    Parameters
    ----------
    base_s, factor, cap_s : float
        The wait before attempt n is uniform between 0 and min(`cap_s`, `base_s` * `factor` ** n) seconds.
    timeout_s : float
        An attempt that takes longer has failed.
    first_attempts : int
        Failures after which a feed that was never connected gives up; later it never does.
    """

    base_s: float = Field(default=1.0, gt=0, le=60)
    factor: float = Field(default=2.0, ge=1, le=10)
    cap_s: float = Field(default=30.0, gt=0, le=3600)
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    first_attempts: int = Field(default=3, ge=1, le=100)


class AggregationSettings(Settings):
    """How bars are made of trades, quotes or shorter bars.

    Parameters
    ----------
    source : {'trades', 'quotes', 'bars'}
        What they are made of, and nothing else: trades, the middles of quotes, or shorter bars.
    late : {'drop', 'amend'}
        What happens to a trade of a bar that is out already: it is counted and left out, or the bar comes again with it.
    grace_s : float
        Seconds a bar waits for such trades after its end.
    volume : {'none', 'displayed'}
        What stands for the volume of bars of quotes: nothing, or what was offered on the thinner side, in the mean of the bar's
        quotes. In a bar without volume nothing fills.
    """

    source: Literal["trades", "quotes", "bars"] = "trades"
    late: Literal["drop", "amend"] = "drop"
    grace_s: float = Field(default=0.0, ge=0, le=60)
    volume: Literal["none", "displayed"] = "none"

    @model_validator(mode="after")
    def _of_quotes_alone(self) -> Self:
        if self.volume != "none" and self.source != "quotes":
            rule = f"be 'none' for source: {self.source}, which brings its own"
            raise ConfigurationError.of("volume", rule, self.volume, "Leave it out.")
        return self


class WebSocketSettings(Settings):
    """The feed that speaks the project's own protocol (`docs/guides/live-feeds.md`).

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://``.
    bar_size : BarSize, optional
        Size of the bars that are expected; None for what the server has. With it the age of data is judged.
    calendar : str
        The exchange's.
    max_age_s : float
        Seconds that data may be old in a session, if five bars are less.
    reorder_window : int
        So many events may overtake one before it is asked for again.
    reconnect : ReconnectSettings
    """

    url: Annotated[str, AfterValidator(check_url)]
    bar_size: BarSize | None = BarSize.M1
    calendar: str = Field(default="XNYS", min_length=1)
    max_age_s: float = Field(default=60.0, gt=0, le=3600)
    reorder_window: int = Field(default=8, ge=0, le=10_000)
    reconnect: ReconnectSettings = ReconnectSettings()


class LiveDataSettings(Settings):
    """Market data as it happens.

    Parameters
    ----------
    feed : str
        ``websocket``, ``alpaca``, an entry point of ``fairlead.feeds``, or ``package.module:Class``.
    symbols : tuple of str
        What to subscribe to.
    url : str, optional
        Where the feed is; ``websocket`` needs it.
    bar_size : BarSize
        Of the bars that arrive or are made.
    calendar : str
        The exchange's.
    max_age_s : float
        Data older than this, and than five bars, is stale.
    aggregate : AggregationSettings, optional
        Make the bars from trades, quotes or shorter bars; None if the feed sends them.
    conflate_quotes : bool
        Whether a quote that still waits gives way to the next of its symbol.
    queue_size : int
        Most events that wait for the loop.
    record : bool
        Keep every event, so that the session can be replayed.
    actions : str, optional
        File of the corporate actions that are known beforehand; a feed brings none.
    reconnect : ReconnectSettings
    params : dict
        What else the feed of a third party takes.
    api_key, api_secret : str, optional
        Credentials; give them as ``${NAME}``, never in the file.
    """

    type: Literal["live"]
    feed: str = Field(min_length=1)
    symbols: tuple[Symbol, ...] = Field(min_length=1)
    url: Annotated[str, AfterValidator(check_url)] | None = None
    bar_size: BarSize = BarSize.M1
    calendar: str = Field(default="XNYS", min_length=1)
    max_age_s: float = Field(default=60.0, gt=0, le=3600)
    aggregate: AggregationSettings | None = None
    conflate_quotes: bool = True
    queue_size: int = Field(default=65_536, ge=1, le=10_000_000)
    record: bool = True
    actions: str | None = None
    reconnect: ReconnectSettings = ReconnectSettings()
    params: dict[str, Any] = Field(default_factory=dict)
    api_key: str | None = None
    api_secret: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.feed == WEBSOCKET and self.url is None:
            raise ConfigurationError.of("url", f"be given for feed: {WEBSOCKET}", None, "Such as ws://127.0.0.1:8765.")
        if self.feed == WEBSOCKET and self.params:
            raise ConfigurationError.of("params", f"be empty for feed: {WEBSOCKET}", sorted(self.params))
        return self

    def websocket(self) -> WebSocketSettings:
        """Return what the feed ``websocket`` takes from these settings."""
        names = [name for name in WebSocketSettings.model_fields if name in type(self).model_fields]
        given = {name: getattr(self, name) for name in names}
        # Bars that are made here may have any size, whatever the server sends.
        return WebSocketSettings(**given | ({} if self.aggregate is None else {"bar_size": None}))


class ReplayDataSettings(DataSettings):
    """History, or a recorded session, delivered as if it happened now.

    Parameters
    ----------
    jitter_s : float
        Each event is delivered up to so many seconds after it was known, and before the next instant. In seconds of the
        session, whatever its speed.
    jitter_seed : int
    """

    type: Literal["replay"]
    jitter_s: float = Field(default=0.0, ge=0, le=3600)
    jitter_seed: int = Field(default=42, ge=0, lt=2**63)
