"""What the kill switches must remember between looks. They do not: this does, told by whoever marks the books."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from fairlead.core.errors import ContractError
from fairlead.core.flows import NetOfFlows
from fairlead.core.time import NS_PER_MINUTE
from fairlead.risk.monitors.settings import HaltAction
from fairlead.risk.monitors.switches import PSR_WINDOW, MonitorView

NS_PER_HOUR: Final = 60 * NS_PER_MINUTE
_VERSION: Final = 2


class EquityWatch:
    """Keeps epoch, peak, session start, daily net returns and connection failures of one book.

    All of them are net of money paid in and out; see `fairlead.core.flows`.

    Parameters
    ----------
    equity : float
        At the epoch, in currency.
    strategy : str
        Whose book it is; empty for the whole session.
    """

    def __init__(self, equity: float, strategy: str = "") -> None:
        self.strategy = strategy
        self._net = NetOfFlows()
        self._worth = self._began = float(equity)
        self._known = self._equity = float(equity)
        self._epoch = self._peak = self._start = self._return_base = self._equity
        self._session: int | None = None
        self._returns: deque[float] = deque(maxlen=PSR_WINDOW)
        self._failures: deque[int] = deque()

    def mark(self, session: int, equity: float) -> None:
        """Take in what the book is worth now.

        Parameters
        ----------
        session : int
            Date of the session, in days since the epoch. The first instant of a new one begins it with the equity that the one
            before ended with, so that a night's loss counts.
        equity : float
            In currency; NaN if something that is held has no price, which the switches then say.
        """
        net = self._net.of(equity)
        if session != self._session:
            if self._session is not None:
                self._began = self._worth
                base = self._return_base
                self._returns.append(self._known / base - 1.0 if base > 0.0 else math.nan)
                self._start = self._return_base = self._known
            self._session = session
        self._equity = net
        if math.isfinite(equity):
            self._worth, self._known = equity, net
            self._peak = max(self._peak, net)

    def cash_flow(self, amount: float) -> None:
        """Count money that was paid in, or (below 0) out, since the last mark: no profit and no loss."""
        self._net.paid(self._worth, self._worth + amount)
        self._worth += amount
        self._began += amount

    @property
    def session_start(self) -> float:
        """What the book was worth at the start of the session, and what was paid in since, in currency."""
        return self._began

    def connection_failed(self, now_ns: int) -> None:
        """Count a failure of the broker's connection."""
        self._failures.append(now_ns)
        self._forget(now_ns)

    def rearm(self) -> None:
        """Begin a new epoch after an operator has looked: epoch and peak are what the book is worth now.

        The start of the session stays: what was lost today is lost today.
        """
        self._epoch = self._peak = self._return_base = self._known
        self._returns.clear()
        self._failures.clear()

    def view(
        self, now_ns: int, *, mismatches: int = 0, is_strict: bool = True, command: HaltAction | None = None
    ) -> MonitorView:
        """Return what the switches may look at now; parameters as in `MonitorView`."""
        self._forget(now_ns)
        return MonitorView(
            strategy=self.strategy,
            equity=self._equity,
            epoch_equity=self._epoch,
            peak_equity=self._peak,
            session_start_equity=self._start,
            daily_returns=tuple(self._returns),
            connection_failures=len(self._failures),
            position_mismatches=mismatches,
            is_strict=is_strict,
            command=command,
        )

    def _forget(self, now_ns: int) -> None:
        while self._failures and self._failures[0] <= now_ns - NS_PER_HOUR:
            self._failures.popleft()

    def save_state(self) -> dict[str, Any]:
        """Return everything that it remembers, as plain data that JSON can hold."""
        return {
            "version": _VERSION,
            "strategy": self.strategy,
            "worth": self._worth,
            "session_start_worth": self._began,
            "net": [self._net.level, self._net.base, self._net.offset],
            "equity": self._known,
            "epoch_equity": self._epoch,
            "peak_equity": self._peak,
            "session_start_equity": self._start,
            "return_base": self._return_base,
            "session": self._session,
            "daily_returns": list(self._returns),
            "connection_failures": list(self._failures),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Remember what `save_state` returned, and nothing else.

        Raises
        ------
        ContractError
            If it is of another version or another book.
        """
        if state.get("version") != _VERSION:
            raise ContractError.of("version of the watch's state", f"be {_VERSION}", state.get("version"))
        if state["strategy"] != self.strategy:
            raise ContractError.of("strategy of the watch's state", f"be {self.strategy!r}", state["strategy"])
        self._worth, self._began = float(state["worth"]), float(state["session_start_worth"])
        self._net = NetOfFlows(*map(float, state["net"]))
        self._known = self._equity = float(state["equity"])
        self._epoch, self._peak = float(state["epoch_equity"]), float(state["peak_equity"])
        self._start, self._return_base = float(state["session_start_equity"]), float(state["return_base"])
        self._session = state["session"]
        # JSON has no NaN: a return that was not known comes back as null.
        returns = (math.nan if value is None else float(value) for value in state["daily_returns"])
        self._returns = deque(returns, maxlen=PSR_WINDOW)
        self._failures = deque(int(stamp) for stamp in state["connection_failures"])
