"""The stages of a line one by one: what each hands on, and what it refuses."""

import datetime as dt
import logging
from decimal import Decimal
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from fairlead.config.factory import load_factory
from fairlead.contracts.frames import IntradayFrameSpec
from fairlead.contracts.signals import CandidateList, Signal
from fairlead.core.errors import ContractError, DataError, LookaheadError
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Side
from fairlead.core.time import NS_PER_DAY, BarSize, date_to_day
from fairlead.data.resampling import resample_m1_to_m5
from fairlead.factory import Found, SignalPlugin
from fairlead.factory.bars import make_bars, read_bars, write_bars
from fairlead.factory.daily import daily_bars, up_to
from fairlead.factory.findings import DataRefused
from fairlead.factory.inside_bar import InsideBarSignals
from fairlead.factory.opening_range import OpeningRange
from fairlead.factory.ordering import NO_TIME, SIBLING, make_orders, write_unsized
from fairlead.factory.selection import read_candidates, select_candidates, write_candidates
from fairlead.factory.settings import CandidateSettings
from fairlead.factory.signalling import find_signals, session_of, write_rejects
from fairlead.factory.sources import DatasetData, FilesData, SyntheticData, open_minutes
from fairlead.risk import PositionSizer, SizingConfig
from fairlead.strategies.inside_bar import scan
from support_factory import CLOCKS_CHANGE, EARLY_CLOSE, calendar, config, frames, minutes, write_config, write_minutes

UTC = dt.UTC


def nothing(_done, _total):
    """No one looks on."""


def five(span=CLOCKS_CHANGE):
    return {symbol: resample_m1_to_m5(frame, calendar()) for symbol, frame in frames(span).items()}


def daily(span=CLOCKS_CHANGE):
    return {symbol: daily_bars(frame, BarSize.M5, calendar()) for symbol, frame in five(span).items()}


def candidates(*symbols, asof=dt.date(2024, 3, 8)):
    scores = dict.fromkeys(symbols, 1.0)
    return CandidateList.select(
        scores, asof_session=asof, calendar=calendar(), strategy="opening_range", strategy_version="1.0.0"
    )


def search(lists, plugin, bars=None):
    bars = five() if bars is None else bars
    return find_signals(
        bars,
        lists,
        plugin,
        bar_size=BarSize.M5,
        calendar=calendar(),
        tz="America/New_York",
        run_id="run",
        instruments={symbol: Instrument(symbol=symbol) for symbol in bars},
        tell=nothing,
    )


def settings(tmp_path, **sections):
    return load_factory(write_config(tmp_path, config(**sections)), environ={}).settings


def checked(tmp_path, **sections):
    chosen = settings(tmp_path, **sections)
    return make_bars(open_minutes(chosen.data, tmp_path), chosen, tmp_path, "run", nothing)


class Misbehaving(OpeningRange):
    """Finds the signals of the opening range and changes them."""

    changes: ClassVar[dict] = {}

    def signals(self, view):
        found = super().signals(view)
        fields = {name: getattr(found.signals[0], name) for name in Signal.__dataclass_fields__} | self.changes
        return Found(signals=(Signal(**fields),))


class Prophet(SignalPlugin):
    """Buys in the morning what will have risen by the evening."""

    name = "prophet"
    version = "1.0.0"

    def scores(self, daily):
        return dict.fromkeys(daily, 1.0)

    def signals(self, view):
        first, last = view.today.head(1), view.today.tail(1)
        if last["CLOSE"][0] <= first["CLOSE"][0]:
            return Found()
        high, low = view.price(first["HIGH"][0] + 0.01), view.price(first["LOW"][0] - 0.01)
        return Found(signals=(view.signal(view.known_at(first), long_entry=high, sl_long=low),))


class TestDailyBars:
    def test_a_session_is_one_bar(self):
        frame = five()["SYN001"]
        made = daily()["SYN001"]
        assert made.height == 10
        first = frame.filter(pl.col("timestamp").dt.date() == dt.date(2024, 3, 4))
        assert made.row(0, named=True) == {
            "timestamp": dt.datetime(2024, 3, 4, tzinfo=UTC),
            "OPEN": first["OPEN"][0],
            "HIGH": first["HIGH"].max(),
            "LOW": first["LOW"].min(),
            "CLOSE": first["CLOSE"][-1],
            "VOLUME": first["VOLUME"].sum(),
        }

    def test_up_to_a_session_means_no_later_one(self):
        day = date_to_day(dt.date(2024, 3, 8))
        for frame in up_to(daily(), day, 3).values():
            assert (frame["timestamp"].to_physical() // NS_PER_DAY).to_list() == [day - 2, day - 1, day]

    def test_a_symbol_without_a_session_yet_is_left_out(self):
        late = {"LATE": daily()["SYN001"].tail(2)}
        assert up_to(late, date_to_day(dt.date(2024, 3, 8)), 5) == {}


class TestCandidates:
    def test_each_list_is_of_the_next_session_over_holiday_and_weekend(self):
        lists = select_candidates(daily(EARLY_CLOSE), OpeningRange(score_sessions=1), calendar(), CandidateSettings(), nothing)
        pairs = [(str(item.asof_session), str(item.valid_session)) for item in lists]
        assert ("2024-11-27", "2024-11-29") in pairs
        assert ("2024-11-29", "2024-12-02") in pairs
        assert len(pairs) == len(daily(EARLY_CLOSE)["SYN001"]) - 1

    def test_the_best_are_kept_and_the_cut_is_told(self, caplog):
        caplog.set_level(logging.INFO)
        chosen = CandidateSettings(max_candidates=1)
        lists = select_candidates(daily(), OpeningRange(score_sessions=2), calendar(), chosen, nothing)
        assert [len(item.items) for item in lists] == [0] + [1] * 8
        assert "2 of 3 candidates cut" in caplog.text

    def test_scores_see_closed_sessions_alone(self):
        """Changing what comes later changes no list."""
        before = select_candidates(daily(), OpeningRange(score_sessions=2), calendar(), CandidateSettings(), nothing)
        cut = {symbol: frame.head(6) for symbol, frame in daily().items()}
        assert select_candidates(cut, OpeningRange(score_sessions=2), calendar(), CandidateSettings(), nothing) == before[:5]

    def test_a_score_for_a_symbol_that_was_not_shown_is_refused(self):
        class Inventive(OpeningRange):
            def scores(self, daily):
                return {"GHOST": 1.0}

        with pytest.raises(ContractError, match="'symbol that opening_range scores' must be one of the 3 symbols"):
            select_candidates(daily(), Inventive(), calendar(), CandidateSettings(), nothing)

    def test_files_are_read_as_they_were_written(self, tmp_path):
        lists = select_candidates(daily(), OpeningRange(score_sessions=2), calendar(), CandidateSettings(), nothing)
        write_candidates(tmp_path / "c", lists)
        write_candidates(tmp_path / "c", lists)
        assert read_candidates(tmp_path / "c") == lists

    def test_a_file_under_another_name_is_refused(self, tmp_path):
        candidates("SYN001").write(tmp_path / "2024-03-15.json")
        with pytest.raises(ContractError, match="be 2024-03-15, as its name says, was '2024-03-11'"):
            read_candidates(tmp_path)


class TestSignals:
    def test_only_candidates_have_any(self):
        found = search([candidates("SYN002")], OpeningRange())
        assert [(s.symbol, session_of(calendar(), s)) for s in found.signals] == [("SYN002", dt.date(2024, 3, 11))]
        assert found.views == 1

    def test_an_empty_list_is_valid(self):
        assert search([candidates()], OpeningRange()).signals == []

    def test_they_are_known_at_ten_in_new_york_on_both_sides_of_the_change_of_clocks(self):
        lists = [candidates("SYN001", asof=dt.date(2024, 3, 7)), candidates("SYN001")]
        stamps = [s.timestamp for s in search(lists, OpeningRange()).signals]
        assert stamps == [dt.datetime(2024, 3, 8, 15, 0, tzinfo=UTC), dt.datetime(2024, 3, 11, 14, 0, tzinfo=UTC)]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"symbol": "SYN003"}, "symbol of a signal' must be one of the 1 candidates of 2024-03-11, was 'SYN003'"),
            ({"strategy": "other"}, "strategy of the SYN001 signal' must be opening_range, was 'other'"),
            ({"strategy_version": "2.0.0"}, "be of M5 bars and version 1.0.0"),
            ({"timestamp": dt.datetime(2024, 3, 12, 14, 0, tzinfo=UTC)}, "must be 2024-03-11, for which its candidates"),
            ({"timestamp": dt.datetime(2024, 3, 11, 2, 0, tzinfo=UTC)}, "be known within a session of XNYS"),
        ],
    )
    def test_what_the_list_does_not_allow_is_refused(self, changes, message):
        plugin = type("Changed", (Misbehaving,), {"changes": changes, "__module__": __name__})()
        with pytest.raises(ContractError, match=message):
            search([candidates("SYN001")], plugin)

    def test_another_candidate_s_symbol_is_refused_too(self):
        plugin = type("Changed", (Misbehaving,), {"changes": {"symbol": "SYN003"}, "__module__": __name__})()
        with pytest.raises(ContractError, match="'symbol of a signal' must be SYN001, whose bars were shown"):
            search([candidates("SYN001", "SYN003")], plugin)

    def test_who_knows_the_future_is_refused(self):
        scores = dict.fromkeys(five(), 1.0)
        lists = [
            CandidateList.select(scores, asof_session=day, calendar=calendar(), strategy="prophet", strategy_version="1.0.0")
            for day in (dt.date(2024, 3, 7), dt.date(2024, 3, 8))
        ]
        with pytest.raises(LookaheadError, match=r"prophet knows the future: its SYN00\d signal of 2024-03-.* is not there"):
            search(lists, Prophet())

    @pytest.mark.parametrize(
        ("prices", "reason"),
        [
            ({"OPEN": 20.0, "HIGH": 20.0, "LOW": 20.0, "CLOSE": 20.0}, "flat_range"),
            ({"OPEN": 1.0, "HIGH": 1.5, "LOW": 0.5, "CLOSE": 1.0}, "no_room"),
            ({"OPEN": 20.0, "HIGH": 20.01, "LOW": 20.0, "CLOSE": 20.0}, None),
        ],
    )
    def test_a_range_that_cannot_be_traded_is_rejected_with_its_reason(self, prices, reason):
        bars = {"SYN001": five()["SYN001"].with_columns(**{name: pl.lit(price) for name, price in prices.items()})}
        found = search([candidates("SYN001")], OpeningRange(), bars)
        assert [reject.reason for reject in found.rejects] == ([reason] if reason else [])
        assert len(found.signals) == (reason is None)

    def test_targets_are_rounded_away_from_their_entry(self):
        prices = {"OPEN": 20.0, "HIGH": 20.01, "LOW": 20.0, "CLOSE": 20.0}
        bars = {"SYN001": five()["SYN001"].with_columns(**{name: pl.lit(price) for name, price in prices.items()})}
        found = search([candidates("SYN001")], OpeningRange(risk_reward_ratio=1.5), bars)
        (signal,) = found.signals
        assert (signal.tp_long, signal.tp_short) == (Decimal("20.03"), Decimal("19.98"))

    def test_inside_bars_session_by_session_are_those_of_one_scan(self):
        """A view shows as much history as the scan needs to know what it would know of all."""
        plugin = InsideBarSignals()
        days = [dt.date(2024, 3, day) for day in (5, 6, 7, 8, 11, 12, 13, 14)]
        lists = [
            CandidateList.select(
                dict.fromkeys(five(), 1.0),
                asof_session=day,
                calendar=calendar(),
                strategy="insidebar",
                strategy_version="1.0.0",
            )
            for day in days
        ]
        found = search(lists, plugin)
        whole = [
            signal
            for symbol, frame in five().items()
            for signal in scan(symbol, frame, plugin.strategy, calendar(), run_id="run").signals
            if signal.timestamp.date() > days[0]
        ]
        assert found.signals
        assert found.signals == sorted(whole, key=lambda signal: (signal.timestamp, signal.symbol))

    def test_an_incomplete_range_is_rejected_with_its_reason(self, tmp_path):
        bars = {"SYN001": five()["SYN001"].filter(pl.col("timestamp") != dt.datetime(2024, 3, 11, 13, 40, tzinfo=UTC))}
        found = search([candidates("SYN001")], OpeningRange(), bars)
        assert [(r.reason, r.detail) for r in found.rejects] == [("incomplete_range", "5 bars")]
        write_rejects(tmp_path / "r.csv", found.rejects)
        assert (tmp_path / "r.csv").read_text().splitlines()[1] == "SYN001,2024-03-11T14:00:00.000000Z,incomplete_range,5 bars"


def signal(**fields):
    levels = {
        "long_entry": Decimal("101.00"),
        "sl_long": Decimal("100.60"),
        "tp_long": Decimal("101.80"),
        "short_entry": Decimal("100.20"),
        "sl_short": Decimal("100.60"),
        "tp_short": Decimal("99.40"),
    }
    base = {
        "symbol": "AAPL",
        "timestamp": dt.datetime(2025, 1, 6, 14, 40, tzinfo=UTC),
        "timeframe": BarSize.M5,
        "strategy": "insidebar",
        "strategy_version": "1.0.0",
        "signal_id": "s1",
    }
    return Signal(**(base | levels | fields))


def orders_of(*signals, run_id="bt_demo", **sizing):
    sizer = PositionSizer(SizingConfig(**({"equity": 10_000} | sizing)))
    return make_orders(signals, sizer, run_id=run_id, calendar=calendar(), instruments={"AAPL": Instrument(symbol="AAPL")})


class TestOrders:
    def test_the_golden_pair(self):
        """Keys of domain rule 4.2, levels of 6.4, quantity of 5."""
        buy, sell = orders_of(signal()).orders
        assert (buy.idempotency_key, sell.idempotency_key) == ("5aca441485f9d1f9", "4776f00f8ae47e50")
        assert buy.oco_id == sell.oco_id == "AAPL_20250106_144000"
        assert (buy.side, buy.qty, buy.stop_price, buy.stop_loss_price) == (Side.BUY, 19, Decimal("101.00"), Decimal("100.60"))
        assert (sell.side, sell.qty, sell.take_profit_price) == (Side.SELL, 19, Decimal("99.40"))
        assert (buy.valid_from, buy.valid_to) == (signal().timestamp, dt.datetime(2025, 1, 6, 21, 0, tzinfo=UTC))
        assert buy.created_at == signal().timestamp

    def test_a_stated_validity_is_kept(self):
        known = {"valid_from": "2025-01-06T14:45:00.000000Z", "valid_to": "2025-01-06T16:00:00.000000Z"}
        (order, _) = orders_of(signal(metadata=known)).orders
        assert (order.valid_from.minute, order.valid_to.hour) == (45, 16)

    def test_a_validity_before_the_signal_is_refused(self):
        with pytest.raises(ContractError, match="'AAPL valid_from' must not be before the signal is known"):
            orders_of(signal(metadata={"valid_from": "2025-01-06T14:35:00.000000Z"}))

    def test_no_time_left_is_recorded(self):
        close = dt.datetime(2025, 1, 6, 21, 0, tzinfo=UTC)
        made = orders_of(signal(timestamp=close))
        assert made.orders == ()
        assert [row.reason for row in made.unsized] == [NO_TIME, NO_TIME]

    def test_a_price_off_the_tick_is_refused(self):
        with pytest.raises(ContractError, match=r"'stop_price' must be a multiple of the tick, 0\.01"):
            orders_of(signal(long_entry=Decimal("101.005")))

    def test_a_leg_without_quantity_takes_the_other_with_it(self, tmp_path):
        """Of 101 the cap of 20 % buys nothing at an equity of 502; of 100.20 it buys one."""
        made = orders_of(signal(), equity=502)
        assert made.orders == ()
        assert [(row.side, row.reason) for row in made.unsized] == [(Side.BUY, "below_min_qty"), (Side.SELL, SIBLING)]
        write_unsized(tmp_path / "u.csv", made.unsized)
        lines = (tmp_path / "u.csv").read_text().splitlines()
        assert lines[1] == "s1,AAPL,2025-01-06T14:40:00.000000Z,BUY,101.00,100.60,below_min_qty"

    def test_one_side_alone_is_one_order(self):
        made = orders_of(signal(short_entry=None, sl_short=None, tp_short=None))
        assert [order.side for order in made.orders] == [Side.BUY]

    def test_two_setups_at_one_instant_have_groups_of_their_own(self):
        made = orders_of(signal(setup="a"), signal(setup="b", signal_id="s2"))
        assert sorted({order.oco_id for order in made.orders}) == ["AAPL_20250106_144000", "AAPL_20250106_144000_1"]
        assert len({order.idempotency_key for order in made.orders}) == 4

    def test_clips_are_counted(self):
        assert orders_of(signal()).clips == {"max_pos_pct": 2}


class TestData:
    def test_good_minutes_pass_and_their_quality_is_kept(self, tmp_path):
        bars = checked(tmp_path)
        assert sorted(bars.m1) == ["SYN001", "SYN002", "SYN003"]
        assert bars.rows == (3 * 10 * 390, 3 * 10 * 78)
        assert bars.warnings == []
        assert len(list((tmp_path / "quality").glob("SYN*_M5_*.json"))) == 3

    def test_an_early_close_has_half_the_bars(self, tmp_path):
        bars = checked(tmp_path, data={"type": "synthetic", "symbols": 1, "start": "2024-11-29", "end": "2024-11-29"})
        assert bars.rows == (210, 42)

    def test_files_and_their_synthetic_origin_give_the_same_bars(self, tmp_path):
        bars = checked(tmp_path, data=write_minutes(tmp_path / "m"))
        original = checked(tmp_path)
        assert all(bars.signal[symbol].equals(original.signal[symbol]) for symbol in original.signal)

    def test_another_timeframe(self, tmp_path):
        assert checked(tmp_path, timeframe="15min").rows[1] == 3 * 10 * 26
        assert checked(tmp_path, timeframe="1min").rows[1] == 3 * 10 * 390

    @pytest.mark.parametrize(
        ("spoil", "check", "first", "count"),
        [
            (lambda f: f.with_columns(HIGH=pl.col("LOW") - 0.01), "D09 high_low", "2024-03-04T14:30:00.000000Z", 3900),
            (lambda f: pl.concat([f.head(5), f.slice(4)]), "D05 duplicates", "2024-03-04T14:34:00.000000Z", 1),
            (lambda f: f.with_columns(OPEN=pl.when(pl.int_range(pl.len()) == 7).then(float("nan")).otherwise("OPEN")),
             "D06 nan_ohlc", "2024-03-04T14:37:00.000000Z", 1),
            (lambda f: f.with_columns(VOLUME=pl.lit(-1.0)), "D08 bad_volume", "2024-03-04T14:30:00.000000Z", 3900),
            (lambda f: f.reverse(), "D04 not_monotonic", None, 3899),
            (lambda f: f.with_columns(pl.col("timestamp").dt.offset_by("-7h")), "I02 outside_session", None, None),
        ],
    )  # fmt: skip
    def test_a_broken_rule_is_named_with_its_first_time_and_count(self, tmp_path, spoil, check, first, count):
        data = write_minutes(tmp_path / "m", SYN002=spoil)
        with pytest.raises(DataRefused) as caught:
            checked(tmp_path, data=data)
        found = {finding.check: finding for finding in caught.value.findings}
        assert check in found
        assert {finding.symbol for finding in caught.value.findings} == {"SYN002"}
        assert first in {None, found[check].first}
        assert count in {None, found[check].count}
        assert f"SYN002 M1 {check}: first at {found[check].first}, count {found[check].count:,}" in str(caught.value)

    def test_a_missing_hour_fails_its_level_by_first_bar_and_count(self, tmp_path):
        hole = pl.col("timestamp").is_between(
            dt.datetime(2024, 3, 12, 14, 0, tzinfo=UTC), dt.datetime(2024, 3, 12, 15, 0, tzinfo=UTC), closed="left"
        )
        data = write_minutes(tmp_path / "m", SYN003=lambda f: f.filter(~hole))
        with pytest.raises(DataRefused) as caught:
            checked(tmp_path, data=data)
        (finding,) = caught.value.findings
        assert (finding.area, finding.check, finding.count) == ("slas", "m5_completeness", 12)
        assert finding.first == "2024-03-12T14:00:00.000000Z"
        assert checked(tmp_path, data=data, enforcement={"slas": "warn"}).warnings == [str(finding)]
        assert checked(tmp_path, data=data, enforcement={"slas": "off"}).warnings == []

    def test_a_recent_gap_is_named(self, tmp_path):
        gap = pl.col("timestamp") == dt.datetime(2024, 3, 15, 19, 0, tzinfo=UTC)
        five_minutes = gap | pl.col("timestamp").is_between(
            dt.datetime(2024, 3, 15, 19, 0, tzinfo=UTC), dt.datetime(2024, 3, 15, 19, 5, tzinfo=UTC), closed="left"
        )
        data = write_minutes(tmp_path / "m", SYN001=lambda f: f.filter(~five_minutes))
        with pytest.raises(DataRefused) as caught:
            checked(tmp_path, data=data)
        (finding,) = caught.value.findings
        assert (finding.check, finding.first, finding.count) == ("lookback_gap", "2024-03-15T19:00:00.000000Z", 1)

    def test_what_bars_cannot_be_made_of_is_refused_at_every_level(self, tmp_path):
        data = write_minutes(tmp_path / "m", SYN001=lambda f: f.with_columns(LOW=pl.lit(-1.0)))
        with pytest.raises(DataRefused, match="D07 nonpositive_price"):
            checked(tmp_path, data=data, enforcement={"contracts": "off", "slas": "off"})

    def test_a_file_that_is_none_is_refused(self, tmp_path):
        data = write_minutes(tmp_path / "m")
        (tmp_path / "m" / "SYN002.parquet").write_bytes(b"not parquet")
        with pytest.raises(DataRefused, match=r"unreadable.*SYN002\.parquet cannot be read as Parquet"):
            checked(tmp_path, data=data)

    def test_every_minute_counts_in_the_range_asked_for(self, tmp_path):
        """A symbol that begins late lacks what was asked for."""
        late = pl.col("timestamp") >= dt.datetime(2024, 3, 6, tzinfo=UTC)
        data = write_minutes(tmp_path / "m", SYN001=lambda f: f.filter(late))
        with pytest.raises(DataRefused, match=r"m5_completeness: first at 2024-03-04T14:30:00.000000Z, count 156"):
            checked(tmp_path, data=data)

    def test_dates_choose_sessions_of_files(self, tmp_path):
        data = write_minutes(tmp_path / "m") | {"start": "2024-03-11", "end": "2024-03-12", "symbols": ["SYN001"]}
        assert checked(tmp_path, data=data).rows == (780, 156)


class TestHandingOn:
    def test_bars_are_read_as_they_were_written(self, tmp_path):
        write_bars(tmp_path / "m5", five())
        write_bars(tmp_path / "m5", five())
        found = read_bars(tmp_path / "m5")
        assert all(found[symbol].equals(frame) for symbol, frame in five().items())

    def test_a_damaged_file_is_named(self, tmp_path):
        write_bars(tmp_path / "m5", five())
        (tmp_path / "m5" / "SYN002.parquet").write_bytes(b"PAR1")
        with pytest.raises(DataError, match=r"SYN002\.parquet cannot be read as Parquet"):
            read_bars(tmp_path / "m5")

    def test_a_file_that_breaks_its_contract_is_named(self, tmp_path):
        write_bars(tmp_path / "m5", {"SYN001": five()["SYN001"].reverse()})
        spec = IntradayFrameSpec(BarSize.M5)
        with pytest.raises(ContractError, match=r"SYN001\.parquet: (?s:.)*D04 not_monotonic"):
            read_bars(tmp_path / "m5", lambda frame: spec.assert_valid(frame, calendar()))


def test_minutes_are_synthetic_and_say_so():
    source = minutes()
    assert source.synthetic
    assert source.provenance.startswith("SYNTHETIC data")
    assert np.array_equal(*(dict(source.frames())["SYN001"]["OPEN"].to_numpy() for _ in range(2)))


def test_settings_of_data_are_told_apart(tmp_path):
    assert isinstance(settings(tmp_path).data, SyntheticData)
    span = {"start": "2024-03-04", "end": "2024-03-15"}
    assert isinstance(settings(tmp_path, data={"type": "dataset", "dataset": "m", **span}).data, DatasetData)
    assert isinstance(settings(tmp_path, data={"type": "files", "path": "m", **span}).data, FilesData)
