"""Synthetic bars: a valid table on a real calendar, the same bytes however they are asked for, and the promised statistics."""

import datetime as dt
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fairlead.core.errors import ConfigurationError, DataNotFound
from fairlead.core.time import NS_PER_MINUTE, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic import SyntheticSettings, describe, generate_bar_batches, generate_bars
from fairlead.data.synthetic.market import Market
from fairlead.data.table import BAR_SCHEMA

PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def xnys():
    return ExchangeCalendar.get("XNYS")


def settings(**changes):
    return SyntheticSettings(**{"symbols": 3, "start": "2024-11-25", "end": "2024-12-04", **changes})


def column(table, name):
    values = table.column(name).combine_chunks()
    if pa.types.is_timestamp(values.type):
        values = values.view(pa.int64())
    return values.to_numpy(zero_copy_only=False)


def of_symbol(table, symbol):
    return table.filter(pc.equal(table["symbol"], symbol))


def log_returns(table, width):
    closes = column(table, "close").reshape(-1, width)
    return np.diff(np.log(closes), axis=0)


def test_the_table_is_canonical_and_labelled_synthetic(xnys):
    table = generate_bars(settings(), xnys)
    assert table.schema.equals(BAR_SCHEMA)
    assert table.schema.metadata[b"provenance"].decode() == describe(settings())
    assert table.schema.metadata[b"synthetic"] == b"true"
    table.validate(full=True)


def test_a_session_has_its_minutes_and_an_early_close_is_shorter(xnys):
    """Thanksgiving Friday closes at 13:00, and the Thursday is a holiday."""
    table = of_symbol(generate_bars(settings(symbols=1), xnys), "SYN001")
    days, counts = np.unique(table["session"].to_pylist(), return_counts=True)
    found = dict(zip(days.tolist(), counts.tolist(), strict=True))
    assert dt.date(2024, 11, 28) not in found
    assert found[dt.date(2024, 11, 29)] == 210
    assert found[dt.date(2024, 12, 2)] == 390


def test_lunch_breaks_have_no_bars():
    """Hong Kong pauses from 12:00 to 13:00 local time, 04:00 to 05:00 UTC."""
    calendar = ExchangeCalendar.get("XHKG")
    table = generate_bars(settings(symbols=1, calendar="XHKG", bar_size="5min", start="2024-06-03", end="2024-06-03"), calendar)
    hours = [stamp.hour for stamp in table["label"].to_pylist()]
    assert len(hours) == 66
    assert 4 not in hours


def test_bars_are_known_when_they_close(xnys):
    table = generate_bars(settings(symbols=1, bar_size="5min"), xnys)
    assert set((column(table, "known") - column(table, "label")) // NS_PER_MINUTE) == {5}


def test_daily_bars_are_labelled_by_session_and_known_at_the_close(xnys):
    table = generate_bars(settings(symbols=1, bar_size="1d"), xnys)
    assert [stamp.date() for stamp in table["label"].to_pylist()] == table["session"].to_pylist()
    black_friday = table["session"].to_pylist().index(dt.date(2024, 11, 29))
    assert table["known"][black_friday].as_py() == dt.datetime(2024, 11, 29, 18, tzinfo=dt.UTC)


def test_bars_of_every_size_agree_on_the_session(xnys):
    """First open and last close of a session do not depend on the bar size."""
    daily = generate_bars(settings(bar_size="1d"), xnys)
    minutes = generate_bars(settings(), xnys)
    for symbol in ("SYN001", "SYN002", "SYN003"):
        by_day, by_minute = of_symbol(daily, symbol).to_pylist(), of_symbol(minutes, symbol).to_pylist()
        for bar in by_day:
            inside = [row for row in by_minute if row["session"] == bar["session"]]
            assert (inside[0]["open"], inside[-1]["close"]) == (bar["open"], bar["close"])


@pytest.mark.parametrize("bar_size", ["1min", "30min", "1d"])
def test_the_same_seed_gives_the_same_bytes_however_it_is_batched(xnys, bar_size):
    chosen = settings(bar_size=bar_size, jumps={"per_session": 2})
    whole = generate_bars(chosen, xnys).combine_chunks()
    for max_rows in (1, 2000, 10**9):
        batches = list(generate_bar_batches(chosen, xnys, max_rows=max_rows))
        assert pa.concat_tables(batches).combine_chunks().equals(whole)
    assert len(batches) == 2, "one batch per month"


def test_another_seed_gives_other_prices(xnys):
    one, two = generate_bars(settings(seed=1), xnys), generate_bars(settings(seed=2), xnys)
    assert not one["close"].equals(two["close"])


def test_a_batch_never_crosses_a_month(xnys):
    for batch in generate_bar_batches(settings(), xnys):
        assert len({(day.year, day.month) for day in batch["session"].to_pylist()}) == 1


def test_batches_hold_whole_sessions_of_bounded_size(xnys):
    chosen = settings(start="2024-03-04", end="2024-03-29", symbols=300, bar_size="5min")
    batches = list(generate_bar_batches(chosen, xnys, max_rows=50_000))
    assert len(batches) > 1
    for before, after in itertools.pairwise(batches):
        assert before["session"][-1].as_py() < after["session"][0].as_py()


@pytest.mark.parametrize("bar_size", ["5min", "1d"])
def test_adding_a_symbol_changes_no_other(xnys, bar_size):
    few = generate_bars(settings(bar_size=bar_size), xnys)
    more = generate_bars(settings(symbols=("AAA", "SYN001", "SYN002", "SYN003", "ZZZ"), bar_size=bar_size), xnys)
    for symbol in ("SYN001", "SYN002", "SYN003"):
        assert of_symbol(more, symbol).to_pylist() == of_symbol(few, symbol).to_pylist()


@pytest.mark.parametrize("bar_size", ["5min", "1d"])
def test_a_later_end_changes_nothing_before_it(xnys, bar_size):
    chosen = {"bar_size": bar_size, "jumps": {"per_session": 2}}
    short = generate_bars(settings(**chosen), xnys)
    long = generate_bars(settings(end="2025-01-10", **chosen), xnys)
    assert long.slice(0, short.num_rows).combine_chunks().equals(short.combine_chunks())


def test_coarse_and_fine_ticks_are_kept(xnys):
    for tick, steps in ((0.25, 4), (0.01, 100), (2.0, 0.5)):
        table = generate_bars(settings(tick=tick, bar_size="30min"), xnys)
        for name in PRICES:
            ticks = column(table, name) * steps
            assert np.abs(ticks - np.rint(ticks)).max() < 1e-9


def test_decimal_prices_are_the_nearest_floats(xnys):
    """A price of 101 cents is the float that prints as 1.01, not a neighbour."""
    closes = column(generate_bars(settings(bar_size="5min"), xnys), "close")
    assert all(value == float(f"{value:.2f}") for value in closes.tolist())


def test_prices_never_fall_below_one_tick(xnys):
    crash = settings(start_price=(0.02, 0.05), volatility=(4.9, 5.0), end="2025-03-03", bar_size="30min")
    assert column(generate_bars(crash, xnys), "low").min() == 0.01


def test_another_calendar_than_the_settings_name_is_refused(xnys):
    with pytest.raises(ConfigurationError, match=r"'calendar' must be the one of the settings \(XLON\), was 'XNYS'"):
        generate_bars(settings(calendar="XLON"), xnys)


def test_an_alias_of_the_calendar_is_the_same_calendar(xnys):
    aliased = generate_bars(settings(calendar="NYSE", bar_size="1d"), xnys)
    assert aliased["close"].equals(generate_bars(settings(bar_size="1d"), xnys)["close"])


def test_a_range_without_sessions_is_refused(xnys):
    with pytest.raises(DataNotFound, match=r"XNYS has no session from 2024-12-07 to 2024-12-08\. Widen the range\."):
        generate_bars(settings(start="2024-12-07", end="2024-12-08"), xnys)


def test_variance_and_volume_smile_over_the_day(xnys):
    """The first and last half hour move and trade more than midday, in about the proportion that was asked for."""
    table = generate_bars(settings(symbols=1, start="2022-01-03", end="2022-12-30", jumps={"per_session": 0}), xnys)
    session = column(table, "session")
    minute = np.arange(len(session)) - np.searchsorted(session, session)
    full = np.isin(session, np.unique(session[minute == 389]))
    moves = np.log(column(table, "close") / column(table, "open"))
    for values in (moves**2, column(table, "volume")):
        first, middle, last = (values[full & (minute >= a) & (minute < b)].mean() for a, b in ((0, 30), (165, 225), (360, 390)))
        assert 2.2 < first / middle < 3.8
        assert 1.6 < last / middle < 2.8
        assert first > last


def test_without_a_smile_the_day_is_flat(xnys):
    table = generate_bars(settings(symbols=1, start="2022-01-03", end="2022-12-30", smile=0.0), xnys)
    volume, minute = column(table, "volume"), column(table, "label") % (1440 * NS_PER_MINUTE)
    by_minute = [volume[minute == value].mean() for value in np.unique(minute)[60:390:30]]
    assert max(by_minute) / min(by_minute) < 1.15


def test_correlation_and_volatility_are_those_asked_for(xnys):
    """Ten years, so that the sampling error of a correlation is about 0.02."""
    chosen = settings(
        symbols=20, start="2010-01-04", end="2019-12-31", bar_size="1d", volatility=(0.3, 0.3), start_price=(200, 300),
        correlation=0.3, sector_correlation=0.7, sectors=2,
    )  # fmt: skip
    returns = log_returns(generate_bars(chosen, xnys), 20)
    sector = Market.draw(chosen, xnys).sector
    correlation = np.corrcoef(returns.T)
    same = (sector[:, None] == sector) & ~np.eye(20, dtype=bool)
    assert correlation[same].mean() == pytest.approx(0.7, abs=0.05)
    assert correlation[sector[:, None] != sector].mean() == pytest.approx(0.3, abs=0.06)
    # The share of storms in ten years varies, and with it the volatility.
    assert returns.std(axis=0).mean() * 252**0.5 == pytest.approx(0.3, abs=0.05)


def test_bars_inside_a_session_are_correlated(xnys):
    chosen = settings(
        symbols=6, start="2022-01-03", end="2022-06-30", bar_size="30min", start_price=(200, 300), overnight_frac=0.0,
        jumps={"per_session": 0}, correlation=0.5, sector_correlation=0.5,
    )  # fmt: skip
    correlation = np.corrcoef(log_returns(generate_bars(chosen, xnys), 6).T)
    assert correlation[np.triu_indices(6, 1)].mean() == pytest.approx(0.5, abs=0.06)


def test_regimes_cluster_volatility(xnys):
    """Squared market returns are autocorrelated with regimes, and not without."""

    def memory(**changes):
        chosen = settings(symbols=20, start="2010-01-04", end="2019-12-31", bar_size="1d", jumps={"per_session": 0}, **changes)
        squares = log_returns(generate_bars(chosen, xnys), 20).mean(axis=1) ** 2
        return np.corrcoef(squares[1:], squares[:-1])[0, 1]

    assert memory() > 0.12
    assert abs(memory(regimes={"volatility": (1.0, 1.0, 1.0)})) < 0.06


def test_regimes_last_as_long_as_asked(xnys):
    market = Market.draw(settings(symbols=1, start="1995-01-03", end="2024-12-31"), xnys)
    for state, stay in enumerate(market.settings.regimes.stay):
        here = market.regime[:-1] == state
        assert here.sum() > 200
        assert (market.regime[1:][here] == state).mean() == pytest.approx(stay, abs=0.03)
    assert not ((market.regime[:-1] == 0) & (market.regime[1:] == 2)).any(), "calm never turns into storm overnight"


def test_jumps_raise_the_kurtosis_and_keep_the_variance(xnys):
    """Jumps move variance into the tails; they add none."""

    def moments(jumps):
        flat = {"volatility": (1.0, 1.0, 1.0)}
        chosen = settings(
            symbols=40, start="2010-01-04", end="2019-12-31", bar_size="1d", start_price=(200, 300), regimes=flat, jumps=jumps
        )
        returns = log_returns(generate_bars(chosen, xnys), 40)
        unit = (returns - returns.mean(axis=0)) / returns.std(axis=0)
        return (unit**4).mean(), returns.std(axis=0).mean()

    calm_kurtosis, calm_deviation = moments({"per_session": 0})
    kurtosis, deviation = moments({"per_session": 0.05, "variance_frac": 0.2})
    assert calm_kurtosis == pytest.approx(3.0, abs=0.2)
    assert kurtosis > 4.5
    assert deviation == pytest.approx(calm_deviation, rel=0.03)


def test_a_jump_happens_within_one_bar_and_stays(xnys):
    """A jump lifts the path from its bar to the session's end; the bar before does not move."""
    chosen = settings(symbols=1, jumps={"per_session": 0.8, "variance_frac": 0.7}, sector_correlation=0.3, start="2024-11-01")
    market = Market.draw(chosen, xnys)
    table = generate_bars(chosen, xnys)
    moves, session = np.log(column(table, "close") / column(table, "open")), column(table, "session")
    jumps = market.jump_table(0, len(market.session))
    assert jumps
    row, _, when, size = max(jumps, key=lambda jump: abs(jump[3]))
    inside = moves[session == np.datetime64(int(market.session[row]), "D")]
    assert inside[int(when * len(inside))] == pytest.approx(size, rel=0.1)


def test_overnight_gaps_carry_their_share_of_variance(xnys):
    chosen = settings(
        symbols=30, start="2010-01-04", end="2019-12-31", bar_size="1d", start_price=(200, 300), overnight_frac=0.4
    )
    table = generate_bars(chosen, xnys)
    opens, closes = (np.log(column(table, name).reshape(-1, 30)) for name in ("open", "close"))
    gaps, totals = opens[1:] - closes[:-1], np.diff(closes, axis=0)
    assert gaps.var() / totals.var() == pytest.approx(0.4, abs=0.03)


def test_highs_and_lows_reach_as_far_as_a_continuous_path(xnys):
    """Parkinson's estimate from the range equals the variance from closes; sampled extremes would fall short."""
    table = generate_bars(
        settings(
            symbols=10, start="2023-01-03", end="2023-12-29", bar_size="1h", jumps={"per_session": 0}, start_price=(200, 300)
        ),
        xnys,
    )
    span = np.log(column(table, "high") / column(table, "low"))
    move = np.log(column(table, "close") / column(table, "open"))
    assert (span**2).mean() / (4 * np.log(2)) / (move**2).mean() == pytest.approx(1.0, abs=0.05)


def test_volume_is_near_its_mean_and_follows_the_regime(xnys):
    chosen = settings(symbols=1, start="2015-01-02", end="2024-12-31", bar_size="1d", session_volume=(1e6, 1e6))
    market = Market.draw(chosen, xnys)
    volume = column(generate_bars(chosen, xnys), "volume")
    calm, normal, storm = (volume[(market.regime == state) & (market.length == 1)].mean() for state in range(3))
    assert calm < normal < storm
    assert normal == pytest.approx(1e6 * chosen.regimes.multipliers()[1], rel=0.05)


def test_an_early_close_trades_and_moves_less(xnys):
    market = Market.draw(settings(symbols=1), xnys)
    friday = int(np.searchsorted(market.session, date_to_day(dt.date(2024, 11, 29))))
    assert market.length[friday] == pytest.approx(210 / 390)
    ratio = market.deviation[friday, 0] / market.activity[friday] / (market.deviation[0, 0] / market.activity[0])
    assert ratio == pytest.approx((210 / 390) ** 0.5)
