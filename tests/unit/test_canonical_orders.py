"""Canonical orders: the row, the file, and what is read from the files of others (domain rules 4.1-4.5)."""

from __future__ import annotations

import datetime as dt
import resource
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal

import pytest

from fairlead.contracts import (
    CanonicalOrder,
    OrderEvent,
    OrderEventWriter,
    OrderWriter,
    check_orders,
    order_idempotency_key,
    read_order_events,
    read_orders,
)
from fairlead.contracts.orders import ORDER_COLUMNS
from fairlead.contracts.orders.row import OPEN_END
from fairlead.core.errors import ContractError, DataError, DataNotFound, InvalidTransition, StorageError
from fairlead.core.identity import order_id
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderStatus, OrderType, Side, TimeInForce
from support_orders import NOON, order

D = Decimal
S = OrderStatus
SELL = {"side": Side.SELL, "stop_price": D("100.20"), "stop_loss_price": D("100.60"), "take_profit_price": D("99.40")}
PLAIN = {"stop_price": None, "take_profit_price": None, "stop_loss_price": None}
MARKET = PLAIN | {"order_type": OrderType.MARKET}


@pytest.mark.parametrize(
    ("side", "oco_id", "key"),
    [
        ("BUY", "AAPL_20250106_144000", "5aca441485f9d1f9"),
        ("SELL", "AAPL_20250106_144000", "4776f00f8ae47e50"),
        ("BUY", None, "a5ef029234da0b3e"),
        ("BUY", "", "a5ef029234da0b3e"),
        (Side.BUY, None, "a5ef029234da0b3e"),
    ],
)
def test_idempotency_keys(side, oco_id, key):
    """The goldens of the rule."""
    found = order_idempotency_key(
        run_id="bt_demo", strategy="insidebar", strategy_version="1.0.0", symbol="AAPL", side=side, oco_id=oco_id
    )
    assert found == key


def test_the_columns_are_those_of_the_rule():
    """Seventeen and four, in file order; the row cannot be changed."""
    assert ",".join(ORDER_COLUMNS) == (
        "order_id,idempotency_key,oco_id,run_id,symbol,side,qty,limit_price,stop_price,take_profit_price,valid_from,valid_to,"
        "session,time_in_force,source,strategy,strategy_version,order_type,stop_loss_price,created_at,schema_version"
    )
    with pytest.raises(FrozenInstanceError):
        order().qty = D(1)
    assert order().order_id == order_id(order().idempotency_key)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        SELL,
        MARKET,
        MARKET | {"oco_id": None, "qty": D("0.001"), "time_in_force": TimeInForce.IOC},
        MARKET | {"stop_loss_price": D(90), "take_profit_price": D(110)},
        PLAIN | {"order_type": OrderType.LIMIT, "limit_price": D("12345678901234.56")},
        PLAIN | {"order_type": OrderType.STOP_LIMIT, "stop_price": D(100), "limit_price": D(101)},
        {"run_id": 'a "quoted", run'},
        {"valid_to": OPEN_END, "time_in_force": TimeInForce.GTC},
    ],
)
def test_rows_survive_as_text(tmp_path, changes):
    """Written and read, a row is what it was, to the digit."""
    path = tmp_path / "orders.csv"
    OrderWriter(path).append(order(**changes))
    assert read_orders(path, default=Instrument(symbol="A", lot_step=0.001)).orders == (order(**changes),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qty": D(0)}, "qty"),
        ({"qty": D("NaN")}, "qty"),
        ({"qty": 1.5}, "qty.*Decimal"),
        ({"stop_price": None}, "stop_price.*be given for a STOP order"),
        ({"limit_price": D(101)}, "limit_price.*not be given for a STOP order"),
        (PLAIN | {"order_type": OrderType.LIMIT}, "limit_price.*be given for a LIMIT order"),
        (PLAIN | {"order_type": OrderType.STOP_LIMIT, "stop_price": D(1)}, "limit_price"),
        (PLAIN | {"order_type": OrderType.STOP_LIMIT, "stop_price": D(2), "limit_price": D(1)}, "at least the stop of a buy"),
        ({"stop_loss_price": D("101.00")}, "stop_loss < entry < take_profit"),
        ({"take_profit_price": D("100.99")}, "stop_loss < entry < take_profit"),
        (SELL | {"stop_loss_price": D("100.19")}, "take_profit < entry < stop_loss"),
        (SELL | {"take_profit_price": D("100.30")}, "take_profit < entry < stop_loss"),
        (MARKET | {"stop_loss_price": D(110), "take_profit_price": D(90)}, "stop_loss < entry < take_profit"),
        ({"order_type": OrderType.TRAILING_STOP}, "order_type"),
        ({"time_in_force": TimeInForce.OPG}, "time_in_force"),
        ({"side": "BUY"}, "side"),
        ({"symbol": "aapl"}, "upper case"),
        ({"valid_to": NOON}, "valid_to"),
        ({"valid_from": NOON.replace(tzinfo=None)}, "valid_from.*UTC"),
        ({"created_at": NOON.astimezone(dt.timezone(dt.timedelta(hours=1)))}, "created_at.*UTC"),
        ({"strategy_version": "v1"}, "semantic version"),
        ({"run_id": "a|b"}, "not contain"),
        ({"symbol": None}, "symbol"),
        ({"strategy": 7}, "strategy"),
        ({"run_id": ""}, "run_id"),
        ({"oco_id": "two\nlines"}, "oco_id"),
        ({"schema_version": "2.0"}, "schema_version"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused(changes, message):
    """Every rule of the columns, one at a time."""
    with pytest.raises(ContractError, match=message):
        order(**changes)


def test_identifiers_must_be_those_of_the_fields():
    """A key or id of another order is refused."""
    with pytest.raises(ContractError, match="idempotency_key"):
        replace(order(), symbol="MSFT")
    with pytest.raises(ContractError, match="order_id"):
        replace(order(), order_id=order(1).order_id)


def test_prices_are_on_the_tick_and_quantities_on_the_lot():
    """The grid is the instrument's, and exact."""
    future = Instrument(symbol="ES", tick_size=0.25, lot_step=2)
    row = order(qty=D(4), stop_price=D("100.25"), stop_loss_price=D(99), take_profit_price=D(105))
    row.check_grid(future)
    order(stop_price=D("101.01")).check_grid(Instrument(symbol="AAPL"))
    order(stop_price=D("0.5001"), stop_loss_price=D("0.4"), take_profit_price=D(2)).check_grid(Instrument(symbol="AAPL"))
    for changes, message in [({"qty": D(5)}, "lot, 2"), ({"stop_loss_price": D("99.1")}, "stop_loss_price.*tick, 0.25")]:
        with pytest.raises(ContractError, match=message):
            replace(row, **changes).check_grid(future)
    with pytest.raises(ContractError, match=r"stop_price.*0\.01"):
        order(stop_price=D("101.001")).check_grid(Instrument(symbol="AAPL"))


def test_numbers_have_no_exponent():
    """A file is read by programs that know none."""
    row = order(qty=D("1E+3"), stop_price=D("1.01E2")).to_cells()
    assert (row[6], row[8]) == ("1000", "101")


def test_an_order_is_an_intent():
    """What replays it asks for the same thing."""
    intent = order(**SELL).intent()
    assert (intent.symbol, intent.amount, intent.stop_price) == ("AAPL", -19.0, 100.2)
    assert (intent.exits.take_profit, intent.exits.stop_loss) == (99.4, 100.6)
    ends = order(time_in_force=TimeInForce.GTC).intent()
    assert (ends.time_in_force, ends.expires_at) == (TimeInForce.GTD, order().valid_to)
    assert order(time_in_force=TimeInForce.GTC, valid_to=OPEN_END).intent().time_in_force is TimeInForce.GTC


# ------------------------------------------------------------------------------------------------------------------- the file


def test_a_known_key_writes_nothing_and_gives_the_row_of_the_file(tmp_path):
    """Clock time is no part of an order; anything else is."""
    path = tmp_path / "deep" / "orders.csv"
    first = OrderWriter(path).append(order())
    before = path.read_bytes()
    assert OrderWriter(path).append(order(created_at=NOON.replace(hour=20))) == first
    with pytest.raises(ContractError, match=f"{first.idempotency_key} and another content"):
        OrderWriter(path).append(order(qty=D(20)))
    with pytest.raises(ContractError, match="another content"):
        OrderWriter(path).extend([order(1), order(1, qty=D(20))])
    assert path.read_bytes() == before
    assert before.startswith(",".join(ORDER_COLUMNS).encode() + b"\n")
    assert before.count(b"\n") == 2


def test_a_torn_line_is_put_aside(tmp_path):
    """Read without it; the next writer moves it out of the file."""
    path = tmp_path / "orders.csv"
    writer = OrderWriter(path)
    writer.append(order())
    whole = path.read_bytes()
    path.write_bytes(whole + b"half a r\xc3")
    assert check_orders(tmp_path / "orders.csv").torn is not None
    assert read_orders(path).orders == (order(),)
    writer.append(order(1))
    assert read_orders(path).orders == (order(), order(1))
    assert (tmp_path / "orders.csv.torn").read_bytes() == b"half a r\xc3\n"
    # Even a row that lacks nothing but its line end: its writer never said that it was written.
    path.write_bytes(whole[:-1])
    assert read_orders(path).orders == ()
    path.write_bytes(whole[:30])
    OrderWriter(path).append(order())
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "hello", f"{','.join(ORDER_COLUMNS)},more\n"])
def test_another_file_is_not_written_into(tmp_path, content):
    """A file that is not ours stays as it is."""
    path = tmp_path / "orders.csv"
    path.write_text(content)
    with pytest.raises(ContractError, match="not a file of this kind"):
        OrderWriter(path).append(order())
    assert path.read_text() == content


def test_a_file_that_was_replaced_is_read_again(tmp_path):
    """A writer does not trust what it remembers of another file."""
    path, other = tmp_path / "orders.csv", tmp_path / "other.csv"
    writer = OrderWriter(path)
    writer.extend([order(), order(1)])
    OrderWriter(other).extend([order(2), order(3)])
    other.replace(path)
    writer.extend([order(2), order()])
    assert read_orders(path).orders == (order(2), order(3), order())


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    """What could be written of a row is taken back."""
    path = tmp_path / "orders.csv"
    OrderWriter(path).append(order())
    before = path.read_bytes()
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))
    try:
        with pytest.raises(StorageError, match=r"orders\.csv"):
            OrderWriter(path).append(order(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(StorageError, match="folder"):
        OrderWriter(folder).append(order())


# -------------------------------------------------------------------------------------------------------------- files of others


def rows(*orders: CanonicalOrder, columns=ORDER_COLUMNS) -> list[list[str]]:
    return [list(columns), *(item.to_cells() for item in orders)]


def write(path, table, end="\n"):
    path.write_text("".join(",".join(cells) + end for cells in table))
    return path


def test_aliases_and_defaults(tmp_path):
    """The names of others; no session is RTH, no time in force is DAY, unknown columns are ignored."""
    names = {
        "stop_price": "price",
        "stop_loss_price": "stop_loss",
        "take_profit_price": "take_profit",
        "oco_id": "oco_group",
        "time_in_force": "tif",
    }
    table = rows(order(), order(1, **SELL), columns=[names.get(name, name) for name in ORDER_COLUMNS])
    table = [[*cells, extra] for cells, extra in zip(table, ("colour", "red", "blue"), strict=True)]
    found = read_orders(write(tmp_path / "o.csv", table, end="\r\n"))
    assert found.orders == (order(), order(1, **SELL))
    assert found.ignored == ("colour",)
    without = [name for name in ORDER_COLUMNS if name not in ("session", "time_in_force", "limit_price")]
    short = [[cells[ORDER_COLUMNS.index(name)] for name in without] for cells in rows(order())]
    assert read_orders(write(tmp_path / "short.csv", short)).orders == (order(),)


def test_bad_rows_are_named_and_the_good_ones_kept(tmp_path):
    """Each with its line, its column and its rule."""
    good, again, other, off = rows(order(), order(), order(1), order(2, stop_price=D("101.005")))[1:]
    other[6] = "-5"
    naive = order(3).to_cells()
    naive[10] = naive[10].removesuffix("Z")
    empty = order(4).to_cells()
    empty[13] = ""
    wrong = order(5).to_cells()
    wrong[5] = "buy"
    table = [list(ORDER_COLUMNS), good, again, other, off, naive, empty, wrong, ["1", "2"], ['"', *good[1:]]]
    path = write(tmp_path / "orders.csv", table)
    found = check_orders(path)
    assert found.orders == (order(),)
    assert [problem.line for problem in found.problems] == [3, 4, 5, 6, 7, 8, 9, 10]
    for problem, text in zip(
        found.problems,
        ("that of line 2", "qty", "stop_price", "time zone", "time_in_force", "side", "have 21 cells", "line of CSV"),
        strict=True,
    ):
        assert text in problem.message
    with pytest.raises(ContractError, match=r"8 rows that break a rule:\n  - line 3: .*\n  - line 4"):
        read_orders(path)


def test_files_that_cannot_be_read(tmp_path):
    """Missing, not text, without header, of a later version, without a column, with one twice."""
    path = tmp_path / "orders.csv"
    with pytest.raises(DataNotFound, match="there is no file"):
        read_orders(path)
    later = order().to_cells()
    later[-1] = "2.0"
    other = [name.replace("symbol", "symbl") for name in ORDER_COLUMNS]
    for content, error, message in [
        (b"\xff\xfe\n", DataError, "UTF-8"),
        (b"", ContractError, "column names"),
        (b"order_id,symbol", ContractError, "column names"),
        (f"{','.join(ORDER_COLUMNS)}\n{','.join(later)}\n".encode(), ContractError, "line 2.*at most 1.0.*later release"),
        (f"{','.join(other)}\n".encode(), ContractError, "lacks the columns symbol. 'symbl' may be meant for 'symbol'"),
        (f"{','.join(ORDER_COLUMNS)},price\n".encode(), ContractError, "'stop_price' once"),
    ]:
        path.write_bytes(content)
        with pytest.raises(error, match=message):
            check_orders(path)


# -------------------------------------------------------------------------------------------------------------- order events


def event(seq=1, previous=S.PENDING, status=S.SUBMITTED, **changes):
    values = {"order_id": order().order_id, "seq": seq, "ts": NOON, "previous": previous, "status": status}
    return OrderEvent(**values | changes)


LIFE = [
    event(),
    event(2, S.SUBMITTED, S.ACKNOWLEDGED),
    event(3, S.ACKNOWLEDGED, S.PARTIALLY_FILLED, filled_qty=D(7), avg_price=D("101.00"), reason="first, of two"),
    event(4, S.PARTIALLY_FILLED, S.FILLED, filled_qty=D(19), avg_price=D("101.0063")),
]


def test_events_survive_their_file_once_each(tmp_path):
    """Written twice they are there once, and another content under the same number is an error."""
    path = tmp_path / "order_events.csv"
    assert OrderEventWriter(path).extend(LIFE[:2]) == LIFE[:2]
    writer = OrderEventWriter(path)
    assert writer.extend(LIFE) == LIFE
    assert writer.extend(LIFE) == LIFE
    assert read_order_events(path) == LIFE
    assert path.read_text().splitlines()[0] == "order_id,seq,ts,from,to,filled_qty,avg_price,reason"
    with pytest.raises(ContractError, match="another content"):
        writer.append(replace(LIFE[3], avg_price=D(101)))


@pytest.mark.parametrize("wrong", [event(2, S.SUBMITTED, S.ACKNOWLEDGED), event(1, S.SUBMITTED, S.ACKNOWLEDGED)])
def test_events_follow_each_other(tmp_path, wrong):
    """No gap, and no other beginning than the last end; a refused call leaves nothing behind."""
    writer = OrderEventWriter(tmp_path / "order_events.csv")
    with pytest.raises(ContractError, match="follow event 0"):
        writer.append(wrong)
    with pytest.raises(ContractError, match="follow event 1"):
        writer.extend([event(), event(2, S.ACKNOWLEDGED, S.FILLED, filled_qty=D(1), avg_price=D(1))])
    writer.append(event())
    assert read_order_events(writer.path) == [event()]


def test_events_that_break_a_rule(tmp_path):
    """The table of transitions is the engine's; bad rows of a file are named."""
    with pytest.raises(InvalidTransition, match="from FILLED to CANCELLED"):
        event(5, S.FILLED, S.CANCELLED)
    for changes in (
        {"seq": 0},
        {"filled_qty": D(-1)},
        {"avg_price": D(0)},
        {"ts": NOON.replace(tzinfo=None)},
        {"reason": "a\nb"},
    ):
        with pytest.raises(ContractError):
            event(**changes)
    path = tmp_path / "order_events.csv"
    OrderEventWriter(path).append(event())
    text = path.read_text()
    for old, new in ((",1,", ",one,"), ("PENDING", "FILLED"), ("SUBMITTED", "SENT")):
        path.write_text(text.replace(old, new))
        with pytest.raises(ContractError, match="line 2"):
            read_order_events(path)
