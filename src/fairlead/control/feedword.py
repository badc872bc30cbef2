"""What the feed said of itself last: whether its data can be relied on."""

from __future__ import annotations

from typing import Final

from fairlead.data.live import FeedNotice, NoticeKind

_AGAIN: Final = {NoticeKind.FRESH: NoticeKind.STALE, NoticeKind.CONNECTED: NoticeKind.DISCONNECTED}
_PROBLEMS: Final = frozenset(_AGAIN.values())


class FeedWord:
    """Keeps what is wrong with a feed until the feed says that it is right again."""

    def __init__(self) -> None:
        self._problems: dict[NoticeKind, str] = {}

    @property
    def problem(self) -> str:
        """Why its data is not to be relied on; empty if it is."""
        return "; ".join(self._problems.values())

    def hear(self, notice: FeedNotice) -> bool:
        """Take in a notice, and return whether it is good news."""
        if notice.kind in _PROBLEMS:
            self._problems[notice.kind] = notice.text or notice.kind.value
        elif notice.kind in _AGAIN:
            # A connection says nothing of the age of its data.
            self._problems.pop(_AGAIN[notice.kind], None)
        return notice.kind in _AGAIN or notice.kind is NoticeKind.ENDED
