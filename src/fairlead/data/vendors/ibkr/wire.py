"""The socket to a gateway, through ``ib_async``: one connection, questions with a time-out, and everything that it tells."""

from __future__ import annotations

import asyncio
import logging
import struct
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final

from fairlead.core.errors import BrokerAccess, BrokerConnection, BrokerError, ConfigurationError, PacingViolation
from fairlead.data.vendors.ibkr import hearing
from fairlead.data.vendors.ibkr.codes import CodeAction, is_read_only, rule_of
from fairlead.data.vendors.ibkr.endpoint import EndpointSettings
from fairlead.data.vendors.ibkr.hearing import Hearing, Question
from fairlead.data.vendors.ibkr.messages import (
    BarTold,
    Contract,
    ExecutionTold,
    Fault,
    Message,
    OrderTold,
    PositionTold,
    ValueTold,
)

try:
    import ib_async
except ImportError as exc:  # pragma: no cover  the extra is installed where tests run
    raise ConfigurationError(
        f'Interactive Brokers needs the package {exc.name}. Install the extra: pip install "fairlead[ibkr]"'
    ) from exc

LARGEST: Final = 1 << 24
"""Bytes that a message may have; the largest real ones have a hundredth of that."""
MESSAGES_PER_SECOND: Final = 50
CLIENT_IDS: Final = 32
_IN_USE: Final = 326
_TELLS_OF_THE_WAY: Final = frozenset({CodeAction.REMARK, CodeAction.INFO, CodeAction.DEGRADE, CodeAction.RECONCILE})


class ClientIdInUse(BrokerConnection):
    """Another connection has this client id."""


class BadAnswer(BrokerError):
    """A question was answered by an error code.

    Attributes
    ----------
    code : int
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Wire:
    """One connection to a gateway. When it is lost it is done with: another is made for the next.

    Parameters
    ----------
    settings : EndpointSettings
    tell : callable
        Told every message that answers no question, `Lost` included; never waits.
    now_ns : callable
        Stamps when anything was heard.
    """

    def __init__(self, settings: EndpointSettings, tell: Callable[[Message], None], now_ns: Callable[[], int]) -> None:
        self._settings, self._tell = settings, tell
        self._hearing = Hearing(self._heard, now_ns, settings.timezone, self._fault_of)
        self._client: Any = _Client(self._hearing, self._lost)
        self._opening: asyncio.Future[None] | None = None
        self._is_closed = False
        self._turns: dict[Hashable, asyncio.Lock] = {}

    @property
    def is_open(self) -> bool:
        """Whether the socket stands, as far as is known."""
        return bool(self._client.isReady()) and not self._is_closed

    @property
    def heard_ns(self) -> int | None:
        """When anything last came."""
        return self._hearing.heard_ns

    @property
    def malformed(self) -> int:
        """Messages that could not be read."""
        return self._hearing.malformed

    @property
    def client_id(self) -> int:
        """Under which it is connected."""
        return int(self._client.clientId)

    async def open(self, client_id: int, least_id: int = 1) -> tuple[str, ...]:
        """Connect, and return the accounts of the login.

        Parameters
        ----------
        client_id : int
        least_id : int
            Ids of requests and orders are at least this, whatever the gateway says.

        Raises
        ------
        ClientIdInUse, BrokerConnection
        """
        where = f"{self._settings.host}:{self._settings.port}"
        self._opening = asyncio.get_running_loop().create_future()
        connecting = asyncio.ensure_future(self._client.connectAsync(self._settings.host, self._settings.port, client_id, None))
        try:
            async with asyncio.timeout(self._settings.connect_s):
                await asyncio.wait({connecting, self._opening}, return_when=asyncio.FIRST_COMPLETED)
            if self._opening.done():
                self._opening.result()
            connecting.result()
        except TimeoutError as exc:
            raise BrokerConnection(f"the gateway at {where} did not answer within {self._settings.connect_s:g} s.") from exc
        except (OSError, ValueError) as exc:
            remedy = "Start TWS or IB Gateway, switch its API on, and correct port."
            raise BrokerConnection(f"no gateway at {where} (502): {exc}. {remedy}") from exc
        finally:
            if not connecting.done():
                connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            if not self._opening.done():
                self._opening.set_result(None)
            else:
                self._opening.exception()  # looked at, whether or not it was what ended the attempt
            if not self.is_open:
                self.close()
        self._client.updateReqId(least_id)
        return tuple(self._client.getAccounts())

    def close(self) -> None:
        """Let go of the socket at once; a second call does nothing. Nothing is told of it."""
        if not self._is_closed:
            self._is_closed = True
            self._client.drop()

    def next_id(self) -> int:
        """Return an id that no request and no order of this connection has had."""
        self._require_open()
        return int(self._client.getReqId())

    def raise_ids(self, least_id: int) -> None:
        """Let ids from now on be at least this."""
        self._client.updateReqId(least_id)

    # Questions.

    async def contracts(self, fields: Mapping[str, Any]) -> list[Contract]:
        """Return what contracts there are of these fields.

        Raises
        ------
        BadAnswer
            Code 200 if there is none.
        """
        asked = ib_async.Contract(**fields)
        return await self._ask(lambda key: self._client.reqContractDetails(key, asked))

    async def open_orders(self) -> list[OrderTold]:
        """Return the orders of every client that can still fill; how each stands is told beside it."""
        return await self._ask(lambda _key: self._client.reqAllOpenOrders(), hearing.OPEN_ORDERS)

    async def completed_orders(self) -> list[OrderTold]:
        """Return the orders that have ended, as far as the gateway keeps them."""
        return await self._ask(lambda _key: self._client.reqCompletedOrders(False), hearing.COMPLETED_ORDERS)

    async def executions(self, account: str, since: str) -> list[ExecutionTold]:
        """Return what was executed since a moment ``YYYYMMDD-HH:MM:SS`` in UTC, or as long as the gateway remembers."""
        chosen = ib_async.ExecutionFilter(acctCode=account, time=since)
        return await self._ask(lambda key: self._client.reqExecutions(key, chosen))

    async def positions(self) -> list[PositionTold]:
        """Return what every account of the login holds."""
        found = await self._ask(lambda _key: self._client.reqPositions(), hearing.POSITIONS)
        self._client.cancelPositions()
        return found

    async def summary(self, tags: Sequence[str]) -> list[ValueTold]:
        """Return values of every account of the login."""
        asked: list[int] = []

        def send(key: Any) -> None:
            asked.append(key)
            self._client.reqAccountSummary(key, "All", ",".join(tags))

        async with self._turn("summary"):  # the gateway keeps two of these at most
            found = await self._ask(send)
            self._client.cancelAccountSummary(asked[0])
        return found

    async def refresh_ids(self) -> int:
        """Ask for the next id, and return it."""
        found = await self._ask(lambda _key: self._client.reqIds(1), hearing.NEXT_ID)
        self._client.updateReqId(found[-1])
        return int(found[-1])

    async def history(
        self, contract: Contract, *, end: str, duration: str, bar_size: str, what: str, within_hours: bool
    ) -> list[BarTold]:
        """Return bars of history.

        Raises
        ------
        BadAnswer
            Code 162, among others.
        """
        made = _made(contract)
        return await self._ask(
            lambda key: self._client.reqHistoricalData(key, made, end, duration, bar_size, what, within_hours, 2, False, [])
        )

    # What is sent without an answer of its own.

    def place(self, order_id: int, contract: Contract, terms: Mapping[str, Any]) -> None:
        """Send an order, or the new terms of one."""
        self._require_open()
        fields = dict(terms)
        if "algoParams" in fields:
            fields["algoParams"] = [ib_async.TagValue(tag, value) for tag, value in fields["algoParams"]]
        self._client.placeOrder(order_id, _made(contract), ib_async.Order(**fields))

    def cancel(self, order_id: int) -> None:
        """Ask for an order to be taken back."""
        self._require_open()
        self._client.cancelOrder(order_id)

    def cancel_all(self) -> None:
        """Ask for every order to be taken back, whoever sent it."""
        self._require_open()
        self._client.reqGlobalCancel()

    def follow_bars(self, contract: Contract, *, what: str, within_hours: bool) -> int:
        """Subscribe to bars of five seconds, and return the id of the request."""
        request_id = self.next_id()
        self._client.reqRealTimeBars(request_id, _made(contract), 5, what, within_hours, [])
        return request_id

    def leave_bars(self, request_id: int) -> None:
        """End a subscription to bars."""
        if self.is_open:
            self._client.cancelRealTimeBars(request_id)

    async def _ask(self, send: Callable[[Any], None], key: str | None = None) -> list[Any]:
        """Ask, and return what has come of it when the answer is whole."""
        self._require_open()
        if key is not None:
            async with self._turn(key):
                return await self._answer(send, key)
        return await self._answer(send, self.next_id())

    async def _answer(self, send: Callable[[Any], None], key: Hashable) -> list[Any]:
        self._require_open()
        question = self._hearing.questions[key] = Question()
        try:
            send(key)
            async with asyncio.timeout(self._settings.answer_s):
                return await question.answer
        except TimeoutError as exc:
            raise BrokerConnection(f"the gateway did not answer within {self._settings.answer_s:g} s.") from exc
        except ConnectionError as exc:
            raise BrokerConnection(f"the gateway cannot be reached (504): {exc}") from exc
        finally:
            if self._hearing.questions.get(key) is question:
                del self._hearing.questions[key]

    def _turn(self, key: Hashable) -> asyncio.Lock:
        return self._turns.setdefault(key, asyncio.Lock())

    def _require_open(self) -> None:
        if not self.is_open:
            raise BrokerConnection("the gateway is not connected (504): nothing was sent.")

    @staticmethod
    def _fault_of(fault: Fault) -> Exception | None:
        action = rule_of(fault.code).action
        if action in _TELLS_OF_THE_WAY:
            return None
        if action is CodeAction.BACK_OFF:
            return PacingViolation(f"the gateway says that too much was asked (100): {fault.text}")
        if action is CodeAction.RECONNECT:
            return BrokerConnection(f"the gateway is not connected ({fault.code}): {fault.text}")
        if is_read_only(fault.text):
            return BrokerAccess(
                f"the gateway's interface is read-only ({fault.code}): {fault.text} Switch that off in its API settings."
            )
        return BadAnswer(f"code {fault.code}: {fault.text}", fault.code)

    def _heard(self, message: Message) -> None:
        if isinstance(message, Fault) and message.code == _IN_USE:
            self._end_opening(ClientIdInUse(f"client id {self.client_id} is in use ({_IN_USE}): {message.text}"))
        self._tell(message)

    def _lost(self, text: str) -> None:
        if self._end_opening(BrokerConnection(f"the gateway ended the connection: {text}")) or self._is_closed:
            return
        self._is_closed = True
        self._hearing.lose(text, BrokerConnection(f"the connection to the gateway was lost: {text}"))

    def _end_opening(self, exc: Exception) -> bool:
        """Let the attempt to connect that is under way fail; return whether there is one."""
        if self._opening is None or self._opening.done():
            return False
        self._opening.set_exception(exc)
        return True


class _Reports:
    """Stands where the decoder has its log: what it could not read is counted."""

    def __init__(self, skip: Callable[[str], None]) -> None:
        self._skip = skip

    def exception(self, text: str) -> None:
        self._skip(f"{sys.exc_info()[1]!r}: {text[:160]}")


class _Demoted(logging.LoggerAdapter[logging.Logger]):
    """The library's own log, in which nothing is an error: what matters is told by us, with what to do about it."""

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.info(msg, *args, **kwargs)


_Base: Any = ib_async.Client


class _Client(_Base):  # type: ignore[misc]  # its methods have no types
    """The library's client, which takes no message of any size, no nonsense, and says at once when its socket is gone."""

    MaxRequests = MESSAGES_PER_SECOND

    def __init__(self, wrapper: Hearing, lost: Callable[[str], None]) -> None:
        self._heard, self._tell_lost = wrapper, lost
        super().__init__(wrapper)
        self.decoder.logger = _Reports(wrapper.skip)
        self._logger = _Demoted(logging.getLogger("ib_async.client"))

    def drop(self) -> None:
        """End the connection without waiting for anybody."""
        transport = self.conn.transport
        self.disconnect()
        if transport is not None:
            transport.abort()

    def _onSocketHasData(self, data: bytes) -> None:  # noqa: N802  the library's name
        try:
            super()._onSocketHasData(data)
        except Exception as exc:  # noqa: BLE001  whatever somebody sends must not end more than this connection
            self._heard.skip(f"{type(exc).__name__}: {exc}")
            self._give_up("it sent what is not the protocol")
            return
        if len(self._data) >= 4 and struct.unpack(">I", self._data[:4])[0] > LARGEST:
            self._heard.skip("a message larger than any that there is")
            self._give_up("it announced a message larger than any that there is")

    def _give_up(self, text: str) -> None:
        self.drop()
        self._tell_lost(text)

    def _onSocketDisconnected(self, msg: str) -> None:  # noqa: N802  the library's name
        super()._onSocketDisconnected(msg)
        self._tell_lost(msg or "the gateway closed it")


def _made(contract: Contract) -> Any:
    return ib_async.Contract(
        conId=contract.con_id,
        symbol=contract.symbol.replace(".", " "),
        secType=contract.sec_type,
        exchange=contract.exchange,
        primaryExchange=contract.primary_exchange,
        currency=contract.currency,
    )
