"""Alpaca's trading interface, call by call: what is asked, and what it means when it is not answered as it should be."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from fairlead.core.errors import (
    BrokerAccess,
    BrokerConnection,
    BrokerError,
    ContractError,
    OrderRejected,
    OrderUnresolved,
    PacingViolation,
)
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.vendors.alpaca.rest import FailureKind, Method, Rest, RestFailure
from fairlead.data.vendors.alpaca.stamps import stamp_ns, stamp_text
from fairlead.execution.brokers.alpaca.mapping import RawOrder, read_order
from fairlead.execution.brokers.alpaca.settings import AlpacaSettings

_ORDERS_PAGE: Final = 500
_ACTIVITIES_PAGE: Final = 100


class Duplicate(OrderRejected):
    """Alpaca has an order of that name already."""


class Incomplete(BrokerConnection):
    """What was listed is not all."""


class TradingApi:
    """Asks Alpaca; nothing is asked twice.

    Parameters
    ----------
    settings : AlpacaSettings
    heard : callable
        Called whenever an answer came.
    """

    def __init__(self, settings: AlpacaSettings, heard: Callable[[], None]) -> None:
        self._settings, self._heard = settings, heard
        self._rest: Rest | None = None

    def open(self) -> None:
        """Let questions be asked; a second call does nothing."""
        if self._rest is None:
            settings = self._settings
            self._rest = Rest(
                settings.base_url,
                settings.api_key.get_secret_value(),
                settings.api_secret.get_secret_value(),
                timeout_s=settings.timeout_s,
                connect_s=settings.connect_s,
                workers=settings.workers,
                heard=self._heard,
            )

    def close(self) -> None:
        """Ask nothing any more; a second call does nothing."""
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.close()

    async def send(self, fields: Mapping[str, Any]) -> RawOrder:
        """Send an order.

        Raises
        ------
        Duplicate
            If there is one of that name.
        OrderRejected, OrderUnresolved
        """
        return _order(await self._wish("POST", "/orders", fields))

    async def change(self, broker_id: str, fields: Mapping[str, Any]) -> RawOrder:
        """Replace an order, and return the new one; raises as `send`."""
        return _order(await self._wish("PATCH", f"/orders/{broker_id}", fields))

    async def cancel(self, broker_id: str) -> None:
        """Ask for an order to be taken back; raises as `send`."""
        await self._wish("DELETE", f"/orders/{broker_id}")

    async def order(self, broker_id: str) -> RawOrder | None:
        """Return an order with its legs; None if there is none."""
        raw = await self.look(f"/orders/{broker_id}", {"nested": "true"})
        return None if raw is None else _shown(raw)

    async def named(self, name: str) -> RawOrder | None:
        """Return the order of that name, without its legs; None if there is none."""
        raw = await self.look("/orders:by_client_order_id", {"client_order_id": name})
        return None if raw is None else _shown(raw)

    async def orders(self, status: str) -> AsyncIterator[RawOrder | ContractError]:
        """Yield orders with their legs, the newest first; in place of one that cannot be read, what is wrong with it.

        Parameters
        ----------
        status : {'open', 'all'}

        Raises
        ------
        Incomplete
            If there may be more, and they cannot be had.
        """
        seen: set[str] = set()
        fields: dict[str, Any] = {"status": status, "nested": "true", "limit": _ORDERS_PAGE, "direction": "desc"}
        while True:
            page = await self.ask("/orders", fields)
            rows = page if isinstance(page, list) else []
            oldest = ""
            is_new = False
            for row in rows:
                try:
                    raw = read_order(row)
                except ContractError as exc:
                    yield exc
                    continue
                oldest = raw.submitted or oldest
                if raw.broker_id not in seen:
                    seen.add(raw.broker_id)
                    is_new = True
                    yield raw
            if len(rows) < _ORDERS_PAGE:
                return
            if not is_new or not oldest:
                raise Incomplete(f"Alpaca lists no more than {_ORDERS_PAGE} orders of one instant: there may be others.")
            # Those of one instant may be on both sides of a page's end: they are asked for again, and told once.
            fields["until"] = stamp_text((stamp_ns(oldest) // 1_000 + 1) * 1_000)

    async def fills(self, since_ns: int) -> AsyncIterator[Mapping[str, Any]]:
        """Yield what the account's activities say of executions, the oldest first; some may be from before `since_ns`."""
        fields: dict[str, Any] = {"direction": "asc", "page_size": _ACTIVITIES_PAGE}
        if since_ns > NS_PER_SECOND:
            fields["after"] = stamp_text((since_ns // NS_PER_SECOND - 1) * NS_PER_SECOND)
        while True:
            page = await self.ask("/account/activities/FILL", fields)
            rows = page if isinstance(page, list) else []
            for row in rows:
                if isinstance(row, Mapping):
                    yield row
            if len(rows) < _ACTIVITIES_PAGE:
                return
            fields["page_token"] = str(rows[-1].get("id"))

    async def calendar(self, first: dt.date, last: dt.date) -> list[Mapping[str, Any]]:
        """Return Alpaca's sessions between two dates, both included."""
        rows: list[Mapping[str, Any]] = await self.ask("/calendar", {"start": first.isoformat(), "end": last.isoformat()})
        return rows

    async def look(self, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        """Ask for something that may not be there: None then."""
        try:
            return await self._way().ask("GET", path, fields)
        except RestFailure as exc:
            if exc.kind is FailureKind.MISSING:
                return None
            raise _of_question(exc) from exc

    async def ask(self, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        """Ask for something.

        Raises
        ------
        BrokerConnection, BrokerAccess, PacingViolation
        """
        try:
            return await self._way().ask("GET", path, fields)
        except RestFailure as exc:
            raise _of_question(exc) from exc

    async def _wish(self, method: Method, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        try:
            return await self._way().ask(method, path, fields)
        except RestFailure as exc:
            raise _of_wish(exc) from exc

    def _way(self) -> Rest:
        if self._rest is None:
            raise BrokerConnection("Alpaca is not connected. Call connect() first.")
        return self._rest


def _order(raw: Any) -> RawOrder:
    try:
        return read_order(raw)
    except ContractError as exc:
        # It was taken; what it has become must be looked up.
        raise OrderUnresolved(f"Alpaca's answer to an order cannot be read: {exc}") from exc


def _shown(raw: Any) -> RawOrder:
    try:
        return read_order(raw)
    except ContractError as exc:
        raise BrokerConnection(f"Alpaca's answer cannot be read: {exc}") from exc


def _of_question(exc: RestFailure) -> BrokerError:
    """Return the error of the tree for a question that changes nothing."""
    common = _of_either(exc)
    if common is not None:
        return common
    if exc.kind is FailureKind.UNANSWERED:
        return BrokerConnection(f"Alpaca does not answer: {exc.text}.")
    return BrokerConnection(f"Alpaca refuses a question: {exc.text}.")


def _of_wish(exc: RestFailure) -> BrokerError:
    """Return the error of the tree for what would have changed something."""
    common = _of_either(exc)
    if common is not None:
        return common
    if exc.kind is FailureKind.UNANSWERED:
        return OrderUnresolved(f"it is not known whether Alpaca has it: {exc.text}.")
    text = exc.text.lower()
    if "client_order_id" in text and "unique" in text:
        return Duplicate(exc.text)
    return OrderRejected(exc.text)


def _of_either(exc: RestFailure) -> BrokerError | None:
    match exc.kind:
        case FailureKind.NOT_SENT:
            return BrokerConnection(f"Alpaca cannot be reached: {exc.text}.")
        case FailureKind.PACING:
            return PacingViolation(f"Alpaca says that too much was asked: {exc.text}.")
        case FailureKind.ACCESS:
            return BrokerAccess(f"Alpaca does not accept the keys: {exc.text}. Check them, and what they are for.")
    return None
