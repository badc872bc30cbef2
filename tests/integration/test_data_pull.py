"""What a pull does with what a vendor says: what is new, what is corrected, what is bad, and what goes wrong."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from fairlead.core.errors import BrokerConnection, ConfigurationError, DataNotFound, PacingViolation
from fairlead.core.time import NS_PER_SECOND, BarSize, to_ns
from fairlead.data.ingest import import_bars
from fairlead.data.store import BarStore
from fairlead.data.vendors.pace import PaceLimit
from fairlead.data.vendors.planning import AskFor
from fairlead.data.vendors.pull import opened_pull
from support_pulls import (
    MARKET,
    Vendor,
    World,
    daily_bars,
    down,
    market,
    minute_bars,
    order,
    pulled,
    state,
    too_many,
)


def _asked_bars(vendor: Vendor) -> list[tuple[str, str, str]]:
    return [(r.symbol, str(r.first), str(r.last)) for kind, r in vendor.asked if kind is AskFor.BARS]


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    pulled(tmp_path, order(["AAA"], "2023-12-01", "2024-01-31"), market())
    vendor = market()
    assert pulled(tmp_path, order(["AAA"], "2023-12-01", "2024-01-31"), vendor).added == 0
    assert vendor.asked == []
    vendor.per_page = 1_000
    result = pulled(tmp_path, order(["AAA", "CCC"], "2023-11-20", "2024-02-09"), vendor)
    assert _asked_bars(vendor) == [
        ("AAA", "2023-11-20", "2023-11-30"),
        ("CCC", "2023-11-20", "2024-02-09"),
        ("AAA", "2024-02-01", "2024-02-09"),
    ]
    assert (result.added, result.revised) == (8 + 7 + 54, 0)


def test_the_newest_day_is_read_again_and_its_corrections_replace_it(tmp_path: Path) -> None:
    world = World(to_ns(dt.datetime(2024, 1, 10, 22, tzinfo=dt.UTC)))
    vendor = Vendor({"AAA": daily_bars(1, dt.date(2024, 1, 2), dt.date(2024, 1, 12))})
    what = order(["AAA"], "2024-01-02", None)
    assert pulled(tmp_path, what, vendor, world).added == 7
    newest = sorted(vendor.bars["AAA"])[6]
    opened, high, low, close, volume = vendor.bars["AAA"][newest]
    vendor.bars["AAA"][newest] = (opened, high, low, close, volume + 1_000)
    vendor.asked.clear()
    world.now_ns = to_ns(dt.datetime(2024, 1, 11, 22, tzinfo=dt.UTC))
    result = pulled(tmp_path, what, vendor, world)
    assert (result.added, result.revised) == (1, 1)
    assert _asked_bars(vendor) == [("AAA", "2024-01-10", "2024-01-11")]
    stored = pl.read_parquet(tmp_path / "pulled" / "1d" / "year=2024/month=01/bars.parquet")
    assert stored["volume"][6] == volume + 1_000


def test_a_bar_that_is_still_being_made_is_left_out(tmp_path: Path) -> None:
    world = World(to_ns(dt.datetime(2024, 1, 10, 15, 45, tzinfo=dt.UTC)))
    bars = minute_bars(1, dt.date(2024, 1, 9), dt.date(2024, 1, 10))
    vendor = Vendor({"AAA": bars}, bar_size=BarSize.M30)
    what = order(["AAA"], "2024-01-09", None, BarSize.M30)
    first = pulled(tmp_path, what, vendor, world)
    assert (first.added, first.symbols[0].gaps) == (13 + 2, 0)
    world.now_ns += 30 * 60 * NS_PER_SECOND
    assert pulled(tmp_path, what, vendor, world).added == 1


def test_bad_bars_are_put_aside_and_told(tmp_path: Path) -> None:
    result = pulled(tmp_path, MARKET, market())
    told = {one.symbol: (one.rows, one.quarantined, one.gaps) for one in result.symbols}
    assert told == {"AAA": (102, 0, 0), "BBB": (55, 0, 0), "CCC": (100, 2, 2)}
    assert sorted(row.code for row in result.quarantined) == ["D06", "D09"]
    assert len((tmp_path / "pulled" / "1d" / "quarantine.csv").read_text().splitlines()) == 3


def test_an_answer_of_bad_bars_alone_ends_nothing(tmp_path: Path) -> None:
    vendor = market()
    for label in sorted(vendor.bars["AAA"])[5:10]:
        vendor.bars["AAA"][label] = (1.0, 0.5, 0.5, 1.0, 1.0)
    result = pulled(tmp_path, order(["AAA"], "2023-11-01", "2023-12-29"), vendor)
    assert (result.symbols[0].rows, result.symbols[0].quarantined) == (36, 5)


def test_a_symbol_without_bars_is_told_and_the_others_come(tmp_path: Path) -> None:
    result = pulled(tmp_path, order(["AAA", "NOPE"], "2024-01-02", "2024-01-31"), market())
    assert result.unknown == {"NOPE": "stored knows no symbol 'NOPE'."}
    assert result.added == 21
    late = pulled(tmp_path / "late", order(["BBB"], "2023-11-01", "2023-12-29"), market())
    assert (late.unknown, late.manifest) == ({"BBB": ""}, None)


def test_failures_are_followed_by_the_next_attempt(tmp_path: Path) -> None:
    world, vendor = World(), market()
    vendor.failures = [down(), None, too_many(after_s=42.0), down()]
    result = pulled(tmp_path, order(["AAA"], "2024-01-02", "2024-01-31"), vendor, world)
    assert result.added == 21
    assert world.slept == [0.5, 42.0, 1.0]
    assert vendor.is_closed


def test_a_vendor_that_fails_on_and_on_is_left_alone_and_what_came_is_stored(tmp_path: Path) -> None:
    world, vendor = World(), market()
    vendor.failures = [None, None, *[down()] * 6]
    with pytest.raises(BrokerConnection, match="cannot be reached"):
        pulled(tmp_path, order(["AAA"], "2023-11-01", "2024-03-28"), vendor, world)
    assert len(vendor.asked) == 8  # five until the breaker opened, and the one that it then let through
    assert sum(world.slept) == pytest.approx(0.5 + 1 + 2 + 4 + 300, abs=9)
    assert state(tmp_path)["rows"] == 5
    pulled(tmp_path, MARKET, market())
    alone = tmp_path / "alone"
    pulled(alone, MARKET, market())
    assert state(tmp_path) == state(alone)


def test_a_storm_of_429_ends_as_one_error(tmp_path: Path) -> None:
    vendor = market()
    vendor.failures = [too_many()] * 6
    with pytest.raises(PacingViolation):
        pulled(tmp_path, MARKET, vendor)


def test_the_limits_of_the_vendor_are_kept(tmp_path: Path) -> None:
    world, vendor = World(), market()
    vendor.limits = (PaceLimit(10, 60.0),)
    pulled(tmp_path, MARKET, vendor, world)
    assert len(vendor.asked) == 66
    assert sum(world.slept) == pytest.approx(6 * 60.0)


def test_prices_of_two_vendors_are_not_mixed(tmp_path: Path) -> None:
    what = order(["AAA"], "2024-01-02", "2024-01-31")
    pulled(tmp_path, what, market())
    other = market()
    other.name = "other"
    with pytest.raises(ConfigurationError, match="'--source' must be 'stored', from which dataset 'pulled' was pulled"):
        pulled(tmp_path, what, other)


def test_two_pulls_of_a_dataset_at_once_are_refused(tmp_path: Path) -> None:
    what, around = order(["AAA"], "2024-01-02", "2024-01-31"), World().around()
    store = BarStore(tmp_path)
    with (
        opened_pull(store, what, market(), around),
        pytest.raises(ConfigurationError, match="not be pulled by two at once"),
        opened_pull(store, what, market(), around),
    ):
        pass
    assert not (tmp_path / "pulled").exists()


def test_what_was_imported_is_not_asked_for_but_its_newest_day(tmp_path: Path) -> None:
    vendor = Vendor({"AAA": daily_bars(1, dt.date(2024, 1, 2), dt.date(2024, 1, 31))}, per_page=1_000)
    pulled(tmp_path / "other", order(["AAA"], "2024-01-02", "2024-01-19"), vendor)
    source = tmp_path / "other" / "pulled" / "1d"
    frame = pl.read_parquet(source / "year=2024/month=01/bars.parquet").drop("known", "session").rename({"label": "ts"})
    table = import_bars(frame, bar_size="1d").table
    BarStore(tmp_path).write("pulled", table, bar_size="1d", calendar="XNYS")
    vendor.asked.clear()
    pulled(tmp_path, order(["AAA"], "2024-01-02", "2024-01-31"), vendor)
    assert _asked_bars(vendor) == [("AAA", "2024-01-19", "2024-01-31")]


def test_bad_sizes_and_dates_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'bar_size' must be one of 1d from stored, was '1min'"):
        pulled(tmp_path, order(["AAA"], "2024-01-02", None, BarSize.M1), market())
    with pytest.raises(DataNotFound, match="stored keeps bars of 1d for 20000 days only"):
        pulled(tmp_path, order(["AAA"], "1924-01-02", None), market())
    with pytest.raises(DataNotFound, match="no session with bars"):
        pulled(tmp_path, order(["AAA"], "2024-01-06", "2024-01-07"), market())
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_up_to_a_total_that_is_known_before(tmp_path: Path) -> None:
    told: list[int] = []
    with opened_pull(BarStore(tmp_path), MARKET, market(), World().around()) as pull:
        total = pull.total
        pull.run(told.append)
    assert told == list(range(1, total + 1))
