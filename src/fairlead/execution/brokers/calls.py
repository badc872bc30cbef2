"""What a session wishes of a broker, carried out: paced, in the order of each order's wishes, and nothing ever sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from fairlead.core.errors import BrokerAccess, BrokerConnection, OrderRejected, OrderUnresolved, PacingViolation
from fairlead.core.orders import TERMINAL
from fairlead.execution.brokers.pacing import PATIENCE_S, Pacer, Sleep
from fairlead.execution.brokers.reports import BrokerReport, Wish
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.settings import BACK_OFF_S
from fairlead.execution.brokers.words import BrokerOrder, ChangeRequest, OrderRequest

NOT_AT_BROKER: Final = "not_at_broker"
NOT_CONNECTED: Final = "not_connected"
AGAIN_S: Final = 1.0
"""How long it takes until something is tried again that a broken way has spoilt."""
URGENT_S: Final = 60.0
"""How long a cancel, or an order that closes, waits for its turn at most."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Send an order, or exits that belong together."""

    requests: tuple[OrderRequest, ...]

    @property
    def references(self) -> tuple[str, ...]:
        """The orders that it is about."""
        return tuple(request.reference for request in self.requests)

    @property
    def is_urgent(self) -> bool:
        """Whether it goes before what adds risk."""
        return all(request.reduce_only for request in self.requests)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Take an order back."""

    reference: str
    is_urgent: bool = True

    @property
    def references(self) -> tuple[str, ...]:
        """The orders that it is about."""
        return (self.reference,)


@dataclass(frozen=True, slots=True)
class Replace:
    """Change an order."""

    change: ChangeRequest
    is_urgent: bool = False

    @property
    def references(self) -> tuple[str, ...]:
        """The orders that it is about."""
        return (self.change.reference,)


Call: TypeAlias = Submit | Cancel | Replace


class Calls:
    """Carries out wishes. Those of one order follow each other; different orders do not wait for each other.

    Parameters
    ----------
    broker : Broker
    pacer : Pacer
    tell : callable
        Told what comes of each; never waits.
    sleep : callable
    is_up : callable
        Waits until the broker can be asked.
    sent : callable
        Told the references of orders whose request has left.
    looks_s : sequence of float
        Seconds before each look for an order of which it is not known whether it arrived.
    back_off_s : float
        How long nothing is asked after the broker has said that it was too much.

    Attributes
    ----------
    sought : set of str
        Orders of which it is being found out whether the broker has them.
    """

    def __init__(
        self,
        broker: Broker,
        pacer: Pacer,
        tell: Callable[[BrokerReport], None],
        sleep: Sleep,
        is_up: asyncio.Event,
        sent: Callable[[Sequence[str]], None] = lambda _references: None,
        looks_s: Sequence[float] = (),
        back_off_s: float = BACK_OFF_S,
    ) -> None:
        self._looks_s, self._back_off_s = looks_s, back_off_s
        self._broker, self._pacer, self._tell, self._sleep = broker, pacer, tell, sleep
        self._is_up, self._sent = is_up, sent
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self.sought: set[str] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    def begin(self, call: Call) -> None:
        """Begin to carry out a wish."""
        task = asyncio.get_running_loop().create_task(self._carry_out(call))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Give up what is under way: what was sent is found again by its reference."""
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def look_up(self, references: Sequence[str]) -> None:
        """Find out what has become of orders of which nobody knows whether the broker has them."""
        self.sought.update(references)
        for reference in references:
            task = asyncio.get_running_loop().create_task(self._look_up_in_turn(reference))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _look_up_in_turn(self, reference: str) -> None:
        async with self._turn((reference,)):
            await self._resolve(reference)

    async def _carry_out(self, call: Call) -> None:
        async with self._turn(call.references):
            try:
                if isinstance(call, Cancel):
                    await self._take_back(call)
                else:
                    await self._do(call)
            except OrderUnresolved:
                for reference in call.references:
                    await self._resolve(reference, of=call)
            except (OrderRejected, PacingViolation) as exc:
                self._refused(call, str(exc))
            except (BrokerConnection, BrokerAccess) as exc:
                self._refused(call, f"{NOT_CONNECTED}: {exc}")

    async def _take_back(self, call: Cancel) -> None:
        """Ask for an order to be taken back for as long as it works and the way is broken: to ask twice does no harm."""
        while True:
            await self._is_up.wait()
            try:
                await self._do(call)
            except BrokerConnection:
                pass
            except OrderUnresolved:
                found = await self._found(call.reference)
                if found is None:
                    self._refused(call, NOT_AT_BROKER)
                    return
                self._tell(BrokerReport.order(found))
                if found.status in TERMINAL:
                    return
            else:
                return
            await self._sleep(AGAIN_S)

    async def _do(self, call: Call) -> None:
        """Ask the broker; only its saying that it was too much is answered by asking again, as nothing has come of that."""
        waited = 0.0
        while True:
            if not self._is_up.is_set():
                raise BrokerConnection("the broker cannot be reached: nothing was sent. It is tried again by itself.")
            # What adds risk is stale after some seconds; what takes it away is worth every wait.
            await self._pacer.take(is_urgent=call.is_urgent, patience_s=URGENT_S if call.is_urgent else PATIENCE_S)
            self._sent(call.references if isinstance(call, Submit) else ())
            try:
                orders = await self._asked(call)
            except PacingViolation:
                self._pacer.hold(self._back_off_s)
                waited += self._back_off_s
                if not call.is_urgent and waited > PATIENCE_S:
                    raise
                await self._sleep(self._back_off_s)
                continue
            for order in orders:
                self._tell(BrokerReport.order(order))
            return

    async def _asked(self, call: Call) -> Sequence[BrokerOrder]:
        if isinstance(call, Submit):
            return await self._broker.submit(call.requests)
        if isinstance(call, Replace):
            return (await self._broker.replace(call.change),)
        await self._broker.cancel(call.reference)
        return ()

    async def _resolve(self, reference: str, of: Call | None = None) -> None:
        """Ask for an order until it is there, or surely is not."""
        self.sought.add(reference)
        try:
            await self._seek(reference, of)
        finally:
            self.sought.discard(reference)

    async def _seek(self, reference: str, of: Call | None) -> None:
        for wait in self._looks_s:
            await self._sleep(wait)
            found = await self._found(reference)
            if found is not None:
                self._tell(BrokerReport.order(found))
                return
        if of is None or isinstance(of, Submit):
            self._tell(BrokerReport.refused(Wish.SUBMIT, reference, NOT_AT_BROKER))
        else:
            self._refused(of, NOT_AT_BROKER)

    async def _found(self, reference: str) -> BrokerOrder | None:
        """Ask for an order, for as long as it takes to get an answer."""
        while True:
            await self._is_up.wait()
            try:
                await self._pacer.take(is_urgent=True, patience_s=60.0)
                return await self._broker.find(reference)
            except PacingViolation:
                self._pacer.hold(self._back_off_s)
                await self._sleep(self._back_off_s)
            except (BrokerConnection, OrderUnresolved):
                # The link notices by itself; until it has, this must not ask in circles.
                await self._sleep(AGAIN_S)

    def _refused(self, call: Call, reason: str) -> None:
        wish = Wish.SUBMIT if isinstance(call, Submit) else Wish.CANCEL if isinstance(call, Cancel) else Wish.REPLACE
        for reference in call.references:
            self._tell(BrokerReport.refused(wish, reference, reason))

    @asynccontextmanager
    async def _turn(self, references: Sequence[str]) -> AsyncIterator[None]:
        """Wait for what was wished for before of the same orders."""
        held: list[asyncio.Lock] = []
        for reference in sorted(references):
            lock, count = self._turns.get(reference, (asyncio.Lock(), 0))
            self._turns[reference] = lock, count + 1
        try:
            for reference in sorted(references):
                lock, _ = self._turns[reference]
                await lock.acquire()
                held.append(lock)
            yield
        finally:
            for lock in held:
                lock.release()
            for reference in references:
                lock, count = self._turns[reference]
                if count == 1:
                    del self._turns[reference]
                else:
                    self._turns[reference] = lock, count - 1
