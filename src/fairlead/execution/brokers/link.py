"""The way to a broker, kept up: connected, watched, asked again what was missed, and told to the session (domain rule 14.5)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Final

from fairlead.core.errors import BrokerAccess, BrokerError, PacingViolation
from fairlead.core.orders import TERMINAL
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.live.backoff import Backoff
from fairlead.execution.brokers.calls import Call, Calls
from fairlead.execution.brokers.pacing import Pacer, Sleep
from fairlead.execution.brokers.reports import BrokerReport, ReportKind
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.words import BrokerAccount, BrokerOrder, Execution, LinkKind, LinkNotice, Snapshot

START: Final = "start"
RECONNECTED: Final = "the broker is back"
_ALARM: Final = 3


class BrokerLink:
    """Speaks with a broker on behalf of a session. It belongs to one asyncio loop.

    Parameters
    ----------
    broker : Broker
    settings : LinkSettings
    tell : callable
        Told every report; never waits.
    now_ns, monotonic : callable
        The real time, nanoseconds; and seconds of a clock that never goes back.
    sleep : callable
    uniform : callable
        Random numbers in [0, 1) for the jitter.
    admit : callable
        Given the account after every connection; raises `BrokerAccess` if it is not the one that it must be.
    since_ns : int
        From when on executions are asked for at the first connection.
    sent : callable
        Told the references of orders that leave, when they do.
    """

    def __init__(
        self,
        broker: Broker,
        settings: LinkSettings,
        tell: Callable[[BrokerReport], None],
        *,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
        uniform: Callable[[], float],
        admit: Callable[[BrokerAccount], None] = lambda _account: None,
        since_ns: int = 0,
        sent: Callable[[Sequence[str]], None] = lambda _references: None,
    ) -> None:
        self._broker, self._settings, self._report = broker, settings, tell
        self._now_ns, self._monotonic, self._sleep, self._admit = now_ns, monotonic, sleep, admit
        self._backoff = Backoff(settings.reconnect, uniform)
        traits = broker.traits
        self.pacer = Pacer(traits.calls_per_minute, traits.burst, monotonic, sleep, self._slow)
        self._is_up, self._is_lost = asyncio.Event(), asyncio.Event()
        self.calls = Calls(broker, self.pacer, self._tell, sleep, self._is_up, sent, settings.looks_s, settings.back_off_s)
        self._overlap_ns = round(settings.overlap_s * NS_PER_SECOND)
        self._since_ns = max(0, since_ns - self._overlap_ns)
        self._told: dict[str, BrokerOrder] = {}
        self._expected: set[str] = set()
        self._is_news = False
        self._executions: set[str] = set()
        self._ready: asyncio.Future[None] | None = None
        self._asked: set[asyncio.Task[None]] = set()
        self._is_down_told = False

    async def run(self) -> None:
        """Keep the way up until cancelled.

        Raises
        ------
        BrokerAccess
            If the broker does not accept keys or account: to try again would be no use.
        """
        helpers: list[asyncio.Task[None]] = []
        try:
            await self._connected(START)
            listening = self._listen()
            helpers = [asyncio.ensure_future(each) for each in (listening, self._watch(), self._poll())]
            lost = asyncio.ensure_future(self._reconnecting())
            helpers.append(lost)
            done, _ = await asyncio.wait(helpers, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self.calls.close()
            for task in tuple(self._asked):
                task.cancel()
            with contextlib.suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(self._settings.attempt_s):
                    await self._broker.disconnect()

    def begin(self, call: Call) -> None:
        """Begin to carry out a wish."""
        self.calls.begin(call)

    def expect(self, references: Sequence[str]) -> None:
        """Learn which orders worked when the broker was last heard, if that was not here: their end is asked for too."""
        self._expected.update(reference for reference in references if reference not in self._told)

    def ask_books(self, why: str) -> None:
        """Ask for all that the broker has; it is told as one report, or not at all if the way breaks meanwhile."""
        task = asyncio.get_running_loop().create_task(self._tell_books(why))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _tell_books(self, why: str) -> None:
        try:
            await self._catch_up(why)
        except PacingViolation:
            self.pacer.hold(self._settings.back_off_s)
        except (BrokerError, TimeoutError) as exc:
            self._lose(f"the broker does not answer: {exc}")

    # Connecting.

    async def _reconnecting(self) -> None:
        while True:
            await self._is_lost.wait()
            self._is_lost.clear()
            await self._connected(RECONNECTED)

    async def _connected(self, why: str) -> None:
        """Connect, for as long as it takes, and hear what was missed before anything is sent."""
        while True:
            try:
                async with asyncio.timeout(self._settings.attempt_s):
                    account = await self._broker.connect()
                self._admit(account)
                await self._catch_up(why)
            except BrokerAccess as exc:
                self._notice(LinkKind.REFUSED, str(exc))
                raise
            except (BrokerError, TimeoutError, OSError) as exc:
                wait = self._backoff.fail()
                self._down(f"attempt {self._backoff.failures}: {str(exc) or type(exc).__name__}")
                await self._sleep(wait)
                continue
            self._backoff.succeed()
            self._is_down_told = False
            self._is_up.set()
            self._notice(LinkKind.UP, account.account_id)
            return

    async def _catch_up(self, why: str) -> None:
        """Ask for everything, and tell it: executions first, so that no order ends before what it has filled is known."""
        snapshot = await self._snapshot()
        for execution in snapshot.executions:
            self._heard_execution(execution)
        await self._heard_open(snapshot.orders)
        self._report(BrokerReport.books(why, snapshot))

    async def _heard_open(self, orders: Collection[BrokerOrder]) -> None:
        for order in orders:
            self._heard_order(order)
        open_now = {order.reference for order in orders}
        # What was open when it was last heard of, and is not any more, has ended meanwhile; so may have what is sought.
        worked = [reference for reference, last in self._told.items() if not _is_over(last)]
        unknown = sorted({*self._expected, *self.calls.sought} - self._told.keys())
        for reference in [reference for reference in (*worked, *unknown) if reference not in open_now]:
            found = await self._question(self._broker.find(reference))
            if found is not None:
                self._heard_order(found)

    async def _snapshot(self) -> Snapshot:
        begun_ns = self._now_ns()
        broker, since_ns = self._broker, self._since_ns
        orders = await self._question(broker.open_orders())
        executions = await self._question(broker.executions(since_ns))
        positions = await self._question(broker.positions())
        account = await self._question(broker.account())
        self._since_ns = max(since_ns, begun_ns - self._overlap_ns)
        return Snapshot(begun_ns, account, tuple(positions), tuple(orders), tuple(executions))

    async def _question(self, asked: Coroutine[Any, Any, Any]) -> Any:
        try:
            await self.pacer.take(patience_s=60.0)
        except BaseException:
            asked.close()
            raise
        async with asyncio.timeout(self._settings.attempt_s):
            return await asked

    # Listening and watching.

    async def _listen(self) -> None:
        while True:
            await self._is_up.wait()
            async for event in self._broker.events():
                if isinstance(event, BrokerOrder):
                    self._heard_order(event)
                elif isinstance(event, Execution):
                    self._heard_execution(event)
                else:
                    self._heard_notice(event)
            self._lose("the broker tells nothing any more")

    def _heard_order(self, order: BrokerOrder) -> None:
        if not order.reference:
            return  # somebody else's: the books tell of it
        before = self._told.get(order.reference)
        if before is not None and before._replace(ts_ns=0) == order._replace(ts_ns=0):
            return
        if before is not None and _is_over(before) and not _is_over(order):
            return  # an answer that was on its way when it ended
        self._told[order.reference] = order
        self._is_news = True
        self._expected.discard(order.reference)
        self._report(BrokerReport.order(order))

    def _heard_execution(self, execution: Execution) -> None:
        if execution.execution_id not in self._executions:
            self._executions.add(execution.execution_id)
            self._report(BrokerReport.execution(execution))

    def _heard_notice(self, notice: LinkNotice) -> None:
        if notice.kind is LinkKind.DOWN:
            self._lose(notice.text)
        elif notice.kind in {LinkKind.RESTORED, LinkKind.RESTORED_LOST}:
            self._report(BrokerReport.link(notice))
            if self._is_up.is_set():  # otherwise the next attempt to connect asks
                self.ask_books(RECONNECTED)
        elif notice.kind is LinkKind.PACING:
            self.pacer.hold(self._settings.back_off_s)
            self._report(BrokerReport.link(notice))
        elif notice.kind is not LinkKind.UP:  # that is ours to say, when all is known
            self._report(BrokerReport.link(notice))

    async def _watch(self) -> None:
        """Ask for a word when none has come for too long: a socket may be open and dead."""
        silence_s = self._settings.silence_s
        while True:
            await self._sleep(silence_s / 3)
            heard_ns = self._broker.health().heard_ns
            if not self._is_up.is_set() or heard_ns is None or self._now_ns() - heard_ns < silence_s * NS_PER_SECOND:
                continue
            try:
                await self._question(self._broker.account())
            except PacingViolation:
                self.pacer.hold(self._settings.back_off_s)
            except (BrokerError, TimeoutError):
                # First ended, then sought again: both at once would end the new one.
                with contextlib.suppress(BrokerError, TimeoutError):
                    async with asyncio.timeout(self._settings.attempt_s):
                        await self._broker.disconnect()
                self._lose(f"nothing has come for {silence_s:g} s, and a question is not answered")

    async def _poll(self) -> None:
        """Ask for what should have been told: the backstop of a stream that may lose something."""
        every_s = self._broker.traits.poll_s
        while every_s > 0:
            await self._sleep(every_s)
            # Of what has ended too: its last execution may be what was not told.
            works = self._expected or any(not _is_over(last) for last in self._told.values())
            if not self._is_up.is_set() or not (works or self._is_news):
                continue
            was_news, self._is_news = self._is_news, False
            try:
                executions = await self._question(self._broker.executions(self._since_ns))
                for execution in executions:
                    self._heard_execution(execution)
                await self._heard_open(await self._question(self._broker.open_orders()))
            except PacingViolation:
                self._is_news = was_news or self._is_news
                self.pacer.hold(self._settings.back_off_s)
            except (BrokerError, TimeoutError):
                self._is_news = was_news or self._is_news
                continue  # whether that means that it is lost is for the watch to find out
        await asyncio.Event().wait()

    # Telling.

    def _tell(self, report: BrokerReport) -> None:
        if report.kind is ReportKind.ORDER:
            self._heard_order(BrokerOrder(**report.data))
        else:
            self._report(report)

    def _notice(self, kind: LinkKind, text: str) -> None:
        self._report(BrokerReport.link(LinkNotice(kind, self._now_ns(), text)))

    def _lose(self, text: str) -> None:
        if self._is_up.is_set():
            self._is_up.clear()
            self._down(text)
            self._is_lost.set()

    def _down(self, text: str) -> None:
        failures = self._backoff.failures
        if not self._is_down_told or failures <= _ALARM:
            self._is_down_told = True
            self._notice(LinkKind.DOWN, text)

    def _slow(self, seconds: float) -> None:
        self._notice(LinkKind.PACING, f"a call waits {seconds:.1f} s for its turn")


def _is_over(order: BrokerOrder) -> bool:
    return order.status in TERMINAL
