"""Alpaca's trading API by REST: what each address answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from fairlead.practice.alpaca.accounts import account_json, asset_json, configurations, position_json
from fairlead.practice.alpaca.broker import AlpacaBroker
from fairlead.practice.alpaca.hours import calendar_json, clock_json
from fairlead.practice.alpaca.http import Request, Response
from fairlead.practice.alpaca.making import asset_id
from fairlead.practice.alpaca.refusals import Refusal, forbidden, invalid, not_found
from fairlead.practice.alpaca.words import number_text, read_count, read_flag, read_instant, read_number

_MOST_ORDERS: Final = 500
_ORDERS: Final = 50


class TradingApi:
    """Answers what is asked below ``/v2``.

    Parameters
    ----------
    broker : AlpacaBroker
    """

    def __init__(self, broker: AlpacaBroker) -> None:
        self._broker = broker
        self._plain: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "account"): lambda _: Response.of(account_json(broker)),
            ("GET", "account/configurations"): lambda _: Response.of(configurations(broker.account)),
            ("PATCH", "account/configurations"): self._configure,
            ("GET", "account/activities"): lambda r: self._activities(r, r.query.get("activity_types")),
            ("GET", "orders"): self._orders,
            ("POST", "orders"): self._place,
            ("DELETE", "orders"): self._cancel_all,
            ("GET", "orders:by_client_order_id"): self._named,
            ("GET", "positions"): self._positions,
            ("DELETE", "positions"): self._close_all,
            ("GET", "assets"): self._assets,
            ("GET", "calendar"): lambda r: Response.of(calendar_json(broker, r.query)),
            ("GET", "clock"): lambda _: Response.of(clock_json(broker)),
        }
        self._of_one: dict[tuple[str, str], Callable[[Request, str], Response]] = {
            ("GET", "orders"): self._order,
            ("PATCH", "orders"): self._replace,
            ("DELETE", "orders"): self._cancel,
            ("GET", "positions"): lambda _, name: Response.of(self._position(name)),
            ("DELETE", "positions"): self._close,
            ("GET", "assets"): lambda _, name: Response.of(asset_json(broker.account, self._symbol(name))),
            ("GET", "account/activities"): self._activities,
        }

    def answer(self, request: Request) -> Response:
        """Return the answer.

        Raises
        ------
        Refusal
            If there is none that was hoped for.
        """
        path = request.path.removeprefix("/v2/")
        plain = self._plain.get((request.method, path))
        if plain is not None:
            return plain(request)
        room, _, name = path.rpartition("/")
        of_one = self._of_one.get((request.method, room))
        if of_one is None or not name:
            raise not_found("endpoint not found")
        return of_one(request, name)

    # Orders.

    def _place(self, request: Request) -> Response:
        if self._broker.switches.refuses_orders:
            raise forbidden(self._broker.switches.refuses_orders)
        return Response.of(self._broker.book.place(read_body(request)))

    def _orders(self, request: Request) -> Response:
        query = request.query
        status = query.get("status", "open")
        if status not in ("open", "closed", "all"):
            raise invalid(f"invalid status: {status}")
        records = list(self._broker.book.records.values())
        if status != "all":
            records = [record for record in records if record.is_open == (status == "open")]
        if query.get("symbols"):
            symbols = set(query["symbols"].upper().split(","))
            records = [record for record in records if record.symbol in symbols]
        if query.get("side"):
            records = [record for record in records if record.side == query["side"]]
        if "after" in query:
            after = read_instant(query["after"], "after")
            records = [record for record in records if record.created_ns > after]
        if "until" in query:
            until = read_instant(query["until"], "until")
            records = [record for record in records if record.created_ns < until]
        nested = read_flag(query.get("nested"))
        if nested:
            listed = {record.order_id for record in records}
            records = [record for record in records if record.parent_id not in listed]
        if query.get("direction", "desc") == "desc":
            records.reverse()
        limit = read_count(query.get("limit"), "limit", _ORDERS, _MOST_ORDERS)
        return Response.of([self._broker.book.json(record, nested=nested) for record in records[:limit]])

    def _order(self, request: Request, order_id: str) -> Response:
        record = self._broker.book.find(order_id)
        return Response.of(self._broker.book.json(record, nested=read_flag(request.query.get("nested"))))

    def _named(self, request: Request) -> Response:
        record = self._broker.book.named(request.query.get("client_order_id", ""))
        return Response.of(self._broker.book.json(record, nested=read_flag(request.query.get("nested"))))

    def _replace(self, request: Request, order_id: str) -> Response:
        book = self._broker.book
        return Response.of(book.replace(book.find(order_id), read_body(request)))

    def _cancel(self, _: Request, order_id: str) -> Response:
        self._broker.book.cancel(self._broker.book.find(order_id))
        return Response(HTTPStatus.NO_CONTENT)

    def _cancel_all(self, _: Request) -> Response:
        answers = []
        for record in self._broker.book.open_records():
            status, body = HTTPStatus.OK, None
            try:
                if record.is_open:
                    self._broker.book.cancel(record)
            except Refusal as exc:
                status, body = HTTPStatus.INTERNAL_SERVER_ERROR, exc.body
            answers.append({"id": record.order_id, "status": int(status), "body": body})
        return Response.of(answers, HTTPStatus.MULTI_STATUS)

    # Positions.

    def _positions(self, _: Request) -> Response:
        self._broker.settle()
        return Response.of([position_json(self._broker, one) for one in self._broker.account.positions()])

    def _position(self, name: str) -> dict[str, Any]:
        symbol = self._symbol(name)
        for one in self._broker.account.positions():
            if one.symbol == symbol:
                return position_json(self._broker, one)
        raise not_found("position does not exist")

    def _close(self, request: Request, name: str) -> Response:
        position = self._position(name)
        quantity = read_number(dict(request.query), "qty")
        share = read_number(dict(request.query), "percentage")
        whole = abs(float(position["qty"]))
        if share is not None:
            step = self._broker.account.instruments[position["symbol"]].lot_step
            units = whole * float(share) / 100
            wanted = units // step * step
        else:
            wanted = whole if quantity is None else float(quantity)
        order = {
            "symbol": position["symbol"],
            "qty": number_text(wanted),
            "side": "sell" if position["side"] == "long" else "buy",
            "type": "market",
            "time_in_force": "day",
        }
        return Response.of(self._broker.book.place(order))

    def _close_all(self, request: Request) -> Response:
        if read_flag(request.query.get("cancel_orders")):
            self._cancel_all(request)
        answers = []
        for one in self._broker.account.positions():
            try:
                body = json.loads(self._close(Request("DELETE", "", {}, {}), one.symbol).body)
                answers.append({"symbol": one.symbol, "status": 200, "body": body})
            except Refusal as exc:
                answers.append({"symbol": one.symbol, "status": exc.status, "body": exc.body})
        return Response.of(answers, HTTPStatus.MULTI_STATUS)

    # The rest.

    def _configure(self, request: Request) -> Response:
        body = read_body(request)
        if not isinstance(body, dict):
            raise invalid("request body format is invalid", 40010000)
        account = self._broker.account
        if "no_shorting" in body:
            account.can_short = not body["no_shorting"]
        if "suspend_trade" in body:
            account.blocked = "suspended by user" if body["suspend_trade"] else ""
        return Response.of(configurations(account))

    def _activities(self, request: Request, kinds: str | None) -> Response:
        return Response.of(self._broker.activities.page(request.query, kinds))

    def _assets(self, request: Request) -> Response:
        account = self._broker.account
        if request.query.get("status", "active") != "active" or request.query.get("asset_class", "us_equity") != "us_equity":
            return Response.of([])
        return Response.of([asset_json(account, symbol) for symbol in account.symbols])

    def _symbol(self, name: str) -> str:
        for symbol in self._broker.account.symbols:
            if name.upper() == symbol or name == asset_id(symbol):
                return symbol
        raise not_found(f"asset not found for {name}")


def read_body(request: Request) -> Any:
    """Return what a request says.

    Raises
    ------
    Refusal
        If it is no JSON.
    """
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError) as exc:
        raise Refusal(HTTPStatus.BAD_REQUEST, 40010000, "request body format is invalid") from exc
