"""How Interactive Brokers is opened as a feed."""

from __future__ import annotations

from pydantic import Field

from fairlead.data.live.feed import LiveFeed, NowNs
from fairlead.data.live.opening import FeedKind
from fairlead.data.live.settings import LiveDataSettings
from fairlead.data.vendors.ibkr.endpoint import EndpointSettings


class IbkrKind(EndpointSettings, FeedKind):
    """The feed ``ibkr``; its fields are what ``data.params`` may hold.

    Parameters
    ----------
    client_id : int
        Another one than the broker's, which is a connection of its own.
    """

    client_id: int = Field(default=11, ge=1, le=32)

    def open(self, data: LiveDataSettings, now_ns: NowNs) -> LiveFeed:
        """Return a feed that is not connected yet.

        Raises
        ------
        ConfigurationError
            If it has no such bars, or its library is not installed.
        """
        from fairlead.data.vendors.ibkr.feed import IbkrFeed  # noqa: PLC0415  its library is an extra

        return IbkrFeed(self, data, now_ns=now_ns)
