"""What every kind of feed is opened by."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fairlead.contracts.settings import Settings
from fairlead.data.live.feed import LiveFeed, NowNs
from fairlead.data.live.settings import LiveDataSettings


class FeedKind(Settings, ABC):
    """How a kind of feed is opened. Third parties derive from it; its fields are what ``data.params`` may hold."""

    @abstractmethod
    def open(self, data: LiveDataSettings, now_ns: NowNs) -> LiveFeed:
        """Return a feed that is not connected yet."""
