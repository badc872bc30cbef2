"""Where a session's wishes leave for its broker, and the thread in which the broker is spoken with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Final, Protocol

from fairlead.core.errors import BrokerAccess, BrokerError, DataError, FairleadError
from fairlead.data.live import EventQueue, Passed, Queued
from fairlead.execution.brokers.calls import Call
from fairlead.execution.brokers.link import BrokerLink
from fairlead.execution.brokers.reports import BrokerReport, ReportKind
from fairlead.execution.brokers.seam import Broker, BrokerTraits
from fairlead.execution.brokers.sending import Port
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.words import BrokerAccount, LinkKind, LinkNotice

_LOG: Final = logging.getLogger(__name__)


class SessionPort(Port, Protocol):
    """Where a session's wishes leave for its broker."""

    @property
    def name(self) -> str:
        """The broker's."""

    def ask_books(self, why: str) -> None:
        """Ask for all that the broker has."""


class BrokerThread:
    """Speaks with a broker in an asyncio loop of its own, and puts what it tells into a session's queue.

    Parameters
    ----------
    broker : Broker
        Belongs to the thread once it is started.
    queue : EventQueue
    settings : LinkSettings
    now_ns : callable
        The real time.
    is_muted : callable
        Whether nothing may leave: the past is gone through once more.
    admit : callable
        Given the account after every connection; raises `BrokerAccess` if it is not the one that it must be.
    since_ns : int
        From when on executions are asked for.
    sent : callable
        Told the references of orders that leave, in this thread.
    """

    def __init__(
        self,
        broker: Broker,
        queue: EventQueue[Queued],
        settings: LinkSettings,
        *,
        now_ns: Callable[[], int],
        is_muted: Callable[[], bool] = lambda: False,
        admit: Callable[[BrokerAccount], None] = lambda _account: None,
        since_ns: int = 0,
        sent: Callable[[Sequence[str]], None] = lambda _references: None,
    ) -> None:
        self._broker, self._queue, self._is_muted, self._now_ns = broker, queue, is_muted, now_ns
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._waiting: asyncio.Queue[BrokerReport | None] = asyncio.Queue()
        self._link = self._loop.run_until_complete(
            _made(
                lambda: BrokerLink(
                    broker,
                    settings,
                    self._waiting.put_nowait,
                    now_ns=now_ns,
                    monotonic=time.monotonic,
                    uniform=random.SystemRandom().random,
                    admit=admit,
                    since_ns=since_ns,
                    sent=sent,
                )
            )
        )
        self._thread = Thread(target=self._run, name="fairlead-broker", daemon=True)
        self._is_stopping = False
        self._heard = Event()
        self.error: BaseException | None = None
        """What ended it before its time."""

    @property
    def name(self) -> str:
        """The broker's."""
        return self._broker.name

    @property
    def traits(self) -> BrokerTraits:
        """What the broker can do."""
        return self._broker.traits

    def start(self) -> None:
        """Begin to connect; what is told is in the queue from now on."""
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the broker was reached and its books are in the queue, or never will be, and return whether that came."""
        return self._heard.wait(timeout_s)

    def begin(self, call: Call) -> None:
        """Let a wish leave."""
        if not self._is_muted():
            self._post(lambda: self._link.begin(call))

    def look_up(self, references: Sequence[str]) -> None:
        """Find out what has become of orders of which the broker's word is missing."""
        if references and not self._is_muted():
            self._post(lambda: self._link.calls.look_up(references))

    def expect(self, references: Sequence[str]) -> None:
        """Learn which orders worked when the broker was last heard: by an earlier process, of which nothing is known here."""
        if references and not self._is_muted():
            self._post(lambda: self._link.expect(references))

    def ask_books(self, why: str) -> None:
        """Ask for all that the broker has."""
        if not self._is_muted():
            self._post(lambda: self._link.ask_books(why))

    def stop(self, timeout: float = 10.0) -> None:
        """End the connection, and wait for the thread; orders go on working. A second call does nothing.

        Raises
        ------
        BrokerError
            If the thread does not end in time.
        """
        self._is_stopping = True
        if self._thread.ident is None:
            if not self._loop.is_closed():
                self._loop.close()
            return
        if self._thread.is_alive():
            self._post(self._cancel)
            self._thread.join(timeout)
        if self._thread.is_alive():
            raise BrokerError(
                "the connection to the broker does not close. End the process; orders at the broker go on working."
            )

    def _post(self, action: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(action)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._both())
        except asyncio.CancelledError:
            pass
        except FairleadError as exc:
            self.error = None if self._is_stopping else exc
        except Exception as exc:  # noqa: BLE001
            # A third party's broker may raise anything; the session reads it here and decides.
            _LOG.exception("a broker failed")
            self.error = exc
        finally:
            self._heard.set()

    async def _both(self) -> None:
        self._task = asyncio.current_task()
        if self._is_stopping:
            return
        telling = asyncio.ensure_future(self._tell())
        try:
            await self._link.run()
        except Exception as exc:
            if not isinstance(exc, BrokerAccess):  # which has been told
                text = f"the way to the broker has failed, and is not made again: {exc}. Restart the session."
                self._waiting.put_nowait(BrokerReport.link(LinkNotice(LinkKind.DOWN, self._now_ns(), text)))
            raise
        finally:
            # What was told before the end is told to the end.
            self._waiting.put_nowait(None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(telling, 1.0)
            await asyncio.sleep(0)  # what was closed a moment ago is let go of in the next round

    async def _tell(self) -> None:
        with contextlib.suppress(DataError):  # the session has ended
            while (report := await self._waiting.get()) is not None:
                await self._queue.put_async(Passed(report))
                if report.kind is ReportKind.LINK and report.data["kind"] == LinkKind.UP:
                    self._heard.set()


async def _made(make: Callable[[], BrokerLink]) -> BrokerLink:
    # Its locks belong to the loop that it is made in.
    return make()
