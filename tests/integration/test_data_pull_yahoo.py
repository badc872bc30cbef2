"""`fairlead data pull --source yahoo`: the real `yfinance`, against a server that answers as Yahoo does."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from fairlead.core.errors import BrokerConnection, DataNotFound, PacingViolation
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.store import BarStore
from fairlead.data.vendors.history import PageRequest
from fairlead.data.vendors.pull import PullOrder, opened_pull
from fairlead.data.vendors.pulled import PullResult
from fairlead.data.vendors.yahoo import YahooHistory, yahoo_symbol
from servers.yahoo import Listing, YahooServer, running_yahoo
from support_cli import fairlead
from support_pulls import XNYS, World, state

yfinance = pytest.importorskip("yfinance")
NOW = to_ns(dt.datetime(2024, 6, 20, 12, tzinfo=dt.UTC))
RAW = {
    "2024-06-05": (1_000.0, 1_010.55, 990.25, 1_003.13, 100.0),
    "2024-06-06": (1_001.0, 1_011.55, 991.25, 1_004.13, 101.0),
    "2024-06-07": (1_002.0, 1_012.55, 992.25, 1_005.13, 102.0),
    "2024-06-10": (100.0, 101.05, 99.02, 100.31, 1_000.0),
    "2024-06-11": (101.0, 102.05, 100.02, 101.31, 1_001.0),
}


@pytest.fixture
def yahoo(tmp_path: Path) -> Iterator[YahooServer]:
    """A server with one company that was split, and one of two classes."""
    yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))  # else it is the home folder's
    yfinance.data.YfData.cache_get.cache_clear()  # it keeps answers of servers of other tests
    split = Listing(dict(RAW), {"2024-06-10": 10.0}, {"2024-06-06": 0.5, "2024-06-11": 0.01})
    with running_yahoo({"NVDA": split, "BRK-B": Listing({"2024-06-05": (400.0, 401.0, 399.0, 400.5, 7.0)})}) as server:
        yield server


def _pulled(
    server: YahooServer, root: Path, symbols: tuple[str, ...], size: BarSize = BarSize.D1, start: str = "2024-06-03"
) -> PullResult:
    world = World(NOW)
    what = PullOrder(
        dataset="pulled",
        symbols=symbols,
        bar_size=size,
        start=dt.date.fromisoformat(start),
        end=dt.date(2024, 6, 12),
        calendar=XNYS,
    )
    with opened_pull(BarStore(root), what, YahooHistory(lambda: world.now_ns, server.url), world.around()) as pull:
        return pull.run()


def _request(symbol: str, first: str, last: str) -> PageRequest:
    days = {"first": dt.date.fromisoformat(first), "last": dt.date.fromisoformat(last)}
    return PageRequest(symbol=symbol, bar_size=BarSize.D1, calendar=XNYS, **days)


def test_prices_are_what_was_traded_and_the_actions_stand_beside_them(yahoo: YahooServer, tmp_path: Path) -> None:
    result = _pulled(yahoo, tmp_path, ("NVDA", "BRK.B"))
    assert result.unknown == {}
    stored = pl.read_parquet(tmp_path / "pulled" / "1d" / "year=2024/month=06/bars.parquet").filter(pl.col("symbol") == "NVDA")
    assert stored.select("open", "high", "low", "close", "volume").rows() == list(RAW.values())
    assert [str(label.date()) for label in stored["label"]] == list(RAW)
    day = {text: date_to_day(dt.date.fromisoformat(text)) for text in RAW}
    assert BarStore(tmp_path).open("pulled").actions == (
        CorporateAction("NVDA", day["2024-06-06"], ActionKind.DIVIDEND, 0.5),
        CorporateAction("NVDA", day["2024-06-10"], ActionKind.SPLIT, 10.0),
        CorporateAction("NVDA", day["2024-06-11"], ActionKind.DIVIDEND, 0.01),
    )


def test_it_makes_no_difference_in_how_many_pulls_a_split_lies_between(yahoo: YahooServer, tmp_path: Path) -> None:
    _pulled(yahoo, tmp_path / "one", ("NVDA",))
    _pulled(yahoo, tmp_path / "two", ("NVDA",), start="2024-06-10")
    _pulled(yahoo, tmp_path / "two", ("NVDA",))
    assert state(tmp_path / "one")["content"] == state(tmp_path / "two")["content"]


def test_minutes_are_labelled_in_utc_by_their_opening(yahoo: YahooServer, tmp_path: Path) -> None:
    opens = int(XNYS.bounds(XNYS.sessions(date_to_day(dt.date(2024, 6, 7)), date_to_day(dt.date(2024, 6, 7))))[0][0]) // 10**9
    rows = {opens + 300 * i: (1_000.0 + i, 1_001.0 + i, 999.0 + i, 1_000.5 + i, 10.0 + i) for i in range(78)}
    rows[opens + 300 * 5] = (None, None, None, None, None)  # no trade: Yahoo writes nulls
    rows[opens + 300 * 9] = (1_000.0, None, 999.0, 1_000.0, 5.0)  # and sometimes for a part of a bar
    yahoo.listings["NVDA"].intraday = rows
    result = _pulled(yahoo, tmp_path, ("NVDA",), BarSize.M5)
    (one,) = result.symbols
    assert (one.rows, one.quarantined, [row.code for row in result.quarantined]) == (76, 1, ["D06"])
    stored = pl.read_parquet(tmp_path / "pulled" / "5min" / "year=2024/month=06/bars.parquet")
    assert str(stored["label"][0]) == "2024-06-07 13:30:00+00:00"
    assert stored["open"][0] == 1_000.0  # before the split of ten to one


def test_what_yahoo_does_not_know_is_told(yahoo: YahooServer) -> None:
    source = YahooHistory(lambda: NOW, yahoo.url)
    with pytest.raises(DataNotFound, match="yahoo knows no symbol 'NOPE'"):
        source.page(_request("NOPE", "2024-06-03", "2024-06-12"))
    assert source.page(_request("NVDA", "2020-06-03", "2020-06-12")).frame is None


def test_429_and_a_gateway_that_fails_are_what_they_are_and_pass(yahoo: YahooServer) -> None:
    source = YahooHistory(lambda: NOW, yahoo.url)
    request = _request("NVDA", "2024-06-03", "2024-06-12")
    yahoo.too_many = 4
    with pytest.raises(PacingViolation, match="too much was asked"):
        source.page(request)
    yahoo.too_many, yahoo.broken = 0, 4
    with pytest.raises(BrokerConnection, match="cannot be reached"):
        source.page(request)
    yahoo.broken = 0
    assert len(source.page(request).frame) == 5


def test_a_server_that_is_gone_cannot_be_reached(tmp_path: Path) -> None:
    yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
    with running_yahoo({}) as server:
        url = server.url
    with pytest.raises(BrokerConnection):
        YahooHistory(lambda: NOW, url).page(_request("GONE", "2024-06-03", "2024-06-12"))


def test_a_class_of_shares_is_spelled_as_yahoo_does() -> None:
    assert yahoo_symbol("BRK.B", "XNYS") == "BRK-B"
    assert yahoo_symbol("VOD.L", ExchangeCalendar.get("XLON").name) == "VOD.L"


def test_the_command_tells_what_came(yahoo: YahooServer, tmp_path: Path) -> None:
    yahoo.listings["NVDA"].bars["2024-06-12"] = (100.0, 90.0, 99.0, 100.0, 5.0)
    command = [
        "data",
        "pull",
        "us",
        "--source",
        "yahoo",
        "--start",
        "2024-06-05",
        "--end",
        "2024-06-12",
        "-o",
        f"url={yahoo.url}",
    ]
    first = fairlead(*command, "--symbols", "NVDA", cwd=tmp_path)
    assert first.code == 0, first.err
    assert "5 bars new, 0 corrected in us" in first.out
    assert "put aside: D09" in first.err
    assert "NVDA lacks 1 bars in 2024-06-12" in first.err
    told = fairlead(*command, "--symbols", "NVDA,NOPE", "--json", cwd=tmp_path)
    assert told.code == 2
    assert "no bars of NOPE came from yahoo" in told.err
    assert json.loads(told.out)["added"] == 0
    check = fairlead("data", "check", "us", cwd=tmp_path)
    assert "pass every rule" in check.out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--source", "nowhere"], "no source of history named 'nowhere'"),
        (["--bar-size", "7min"], "'bar_size' must be one of"),
        (["--bar-size", "4h"], "'bar_size' must be one of 1min, 5min, 15min, 30min, 1h, 1d from yahoo"),
        (["--bar-size", "1min"], "yahoo keeps bars of 1min for 29 days only"),
        (["--start", "yesterday"], "'--start' must be a date"),
        (["--end", "2024-01-02"], "'--end' must not be before --start"),
        (["--symbols", "AA PL"], "symbol"),
        (["--symbols", " , "], "'--symbols' must be names separated by commas"),
        (["-o", "url"], "'--option' must be KEY=VALUE"),
        (["-o", "colour=red"], "does not take these params"),
        (["--calendar", "MOON"], "no exchange calendar named 'MOON'"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path: Path, changed: list[str], message: str) -> None:
    command = ["data", "pull", "us", "--source", "yahoo", "--symbols", "NVDA", "--start", "2024-06-05", *changed]
    answer = fairlead(*command, cwd=tmp_path)
    assert answer.code == 2
    assert message in " ".join(answer.err.split())
    assert not [*(tmp_path / "artifacts" / "data" / "bars").glob("*")]
