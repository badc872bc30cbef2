"""History from Interactive Brokers, page by page, as `fairlead data pull` asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from pydantic import Field

from fairlead.core.errors import BrokerAccess, BrokerConnection, DataNotFound, PacingViolation
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.vendors.history import HistoryPage, HistoryTraits, PageRequest
from fairlead.data.vendors.ibkr.bars import SESSIONS_PER_PAGE, SIZES, days_text, end_text, opening_ns, session_of
from fairlead.data.vendors.ibkr.codes import CodeAction, has_no_bars, rule_of
from fairlead.data.vendors.ibkr.contracts import Contracts, UnknownContract
from fairlead.data.vendors.ibkr.endpoint import EndpointSettings
from fairlead.data.vendors.ibkr.messages import BarTold, Contract, Message
from fairlead.data.vendors.ibkr.pacing import LIMITS
from fairlead.data.vendors.ibkr.wire import BadAnswer, ClientIdInUse, Wire
from fairlead.data.vendors.sources import HistoryKind

NAME: Final = "ibkr"
_TRADES: Final = "TRADES"
_ATTEMPTS: Final = 4
TRAITS: Final = HistoryTraits(sessions_per_page=SESSIONS_PER_PAGE, limits=LIMITS, reach_days={BarSize.M1: 365})


class IbkrHistorySettings(EndpointSettings):
    """A gateway from which history is taken, on a connection of its own.

    Parameters
    ----------
    client_id : int
        Others are tried if this one is in use.
    answer_s : float
        History takes longer than other answers.
    """

    client_id: int = Field(default=21, ge=1, le=32)
    answer_s: float = Field(default=60.0, gt=0, le=300)


class IbkrHistory:
    """Bars of trades in regular hours. It connects when it is first asked.

    The vendor adjusts prices for splits and does not say which there were: what was traded before a split cannot be told.

    Parameters
    ----------
    settings : IbkrHistorySettings
    now_ns : callable
    """

    name = NAME
    traits = TRAITS

    def __init__(self, settings: IbkrHistorySettings, now_ns: Callable[[], int]) -> None:
        self._settings, self._now_ns = settings, now_ns
        self._contracts = Contracts(settings.contracts)
        self._wire: Wire | None = None
        self._opening = asyncio.Lock()

    async def page(self, request: PageRequest) -> HistoryPage:
        """Return the bars of some sessions, by one request to the vendor; see `HistorySource`."""
        wire = await self._connected()
        try:
            contract = await self._contracts.of(wire, request.symbol)
            bars = await self._bars(wire, contract, request)
        except UnknownContract as exc:
            raise DataNotFound(str(exc)) from exc
        except BadAnswer as exc:
            if exc.code == _NO_HISTORY and has_no_bars(str(exc)):
                return HistoryPage()
            raise _translated(exc) from exc
        return HistoryPage(_frame(bars, request) if bars else None)

    def actions(self, request: PageRequest) -> Sequence[CorporateAction]:  # noqa: ARG002  it is the seam's
        """Return nothing: the vendor has no corporate actions."""
        return ()

    async def close(self) -> None:
        """End the connection."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    async def _bars(self, wire: Wire, contract: Contract, request: PageRequest) -> list[BarTold]:
        sessions = request.calendar.sessions(date_to_day(request.first), date_to_day(request.last))
        if not len(sessions):
            return []
        _, closes = request.calendar.bounds(sessions[-1:])
        return await wire.history(
            contract,
            end=end_text(int(closes[0])),
            duration=days_text(len(sessions)),
            bar_size=SIZES[request.bar_size],
            what=_TRADES,
            within_hours=True,
        )

    async def _connected(self) -> Wire:
        async with self._opening:
            if self._wire is not None and self._wire.is_open:
                return self._wire
            for step in range(_ATTEMPTS):
                wire = Wire(self._settings, _ignore, self._now_ns)
                try:
                    managed = await wire.open((self._settings.client_id + step - 1) % 32 + 1)
                    self._settings.choose_account(managed)
                except ClientIdInUse:
                    continue
                except BrokerAccess:
                    wire.close()
                    raise
                self._wire = wire
                return wire
        raise BrokerConnection(f"client ids from {self._settings.client_id} on are in use (326). Give another: client_id.")


class IbkrHistoryKind(IbkrHistorySettings, HistoryKind):
    """`fairlead data pull --source ibkr`; its fields are what ``--option`` may set."""

    def open(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> IbkrHistory:  # noqa: ARG002  there are no keys
        """Return the source; nothing has been asked of the gateway yet."""
        return IbkrHistory(self, now_ns)


_NO_HISTORY: Final = 162


def _translated(exc: BadAnswer) -> Exception:
    action = rule_of(exc.code).action
    if action is CodeAction.DATA_BACK_OFF and "pacing" in str(exc).lower():
        return PacingViolation(str(exc))
    if action is CodeAction.NO_DATA or "permission" in str(exc).lower():
        return BrokerAccess(str(exc))
    if action is CodeAction.DISABLE:
        return DataNotFound(str(exc))
    return BrokerConnection(str(exc))


def _frame(bars: Sequence[BarTold], request: PageRequest) -> Any:
    import pandas as pd  # noqa: PLC0415  slow to import

    if request.bar_size.is_intraday:
        index = pd.DatetimeIndex(np.array([opening_ns(bar) for bar in bars], dtype="datetime64[ns]")).tz_localize("UTC")
        days = index.tz_convert(request.calendar.timezone).date
    else:
        days = np.array([session_of(bar) for bar in bars])
        index = pd.DatetimeIndex(days).tz_localize(request.calendar.timezone)
    columns = {name: [getattr(bar, name) for bar in bars] for name in ("open", "high", "low", "close", "volume")}
    # A span counts trading days back from its end: a holiday that only the vendor knows would bring one too early.
    within = (days >= request.first) & (days <= request.last)
    return pd.DataFrame(columns, index=index.rename("timestamp"))[within]


def _ignore(_message: Message) -> None:
    """Let what nobody asked for pass: each question is answered by itself."""
