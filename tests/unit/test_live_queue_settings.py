"""Which quotes may give way to later ones in a session: none that a bar is made of, and none of a replay."""

from __future__ import annotations

import pytest

from fairlead.config.feeding import queue_of
from fairlead.data.live import LiveDataSettings, Received, ReplayDataSettings
from support_feeds import quote

LIVE = {"type": "live", "feed": "a.module:Feed", "symbols": ["A"]}
OF_QUOTES = {"source": "quotes", "volume": "displayed"}


@pytest.mark.parametrize(
    ("data", "waiting"),
    [
        (LiveDataSettings(**LIVE), 1),
        (LiveDataSettings(**LIVE, conflate_quotes=False), 3),
        (LiveDataSettings(**LIVE, aggregate={"source": "trades"}), 1),
        (LiveDataSettings(**LIVE, aggregate=OF_QUOTES), 3),
        (LiveDataSettings(**LIVE, aggregate=OF_QUOTES, conflate_quotes=True), 3),
        (ReplayDataSettings(type="replay"), 3),
    ],
)
def test_quotes_that_are_needed_stay(data, waiting):
    queue = queue_of(data)
    for second in range(3):
        queue.put(Received(quote(second), second))
    assert len(queue) == waiting
