"""What every registered signal plug-in keeps: it knows no future, is the same twice, and speaks the schema of signals."""

import dataclasses
import datetime as dt

import numpy as np
import pytest

from fairlead.contracts import Signal, read_signals, write_signals
from fairlead.contracts.signals import check_signals
from fairlead.core.identity import slug
from fairlead.core.instruments import Instrument
from fairlead.core.time import BarSize, date_to_day, day_to_date, to_ns
from fairlead.data.resampling import resample_m1_to_m5
from fairlead.factory import Found, SessionView, SignalSettings
from fairlead.factory.daily import daily_bars, up_to
from fairlead.factory.signal_part import known_plugins
from support_factory import CLOCKS_CHANGE, EARLY_CLOSE, calendar, frames

SPANS = [CLOCKS_CHANGE, EARLY_CLOSE]
NEW_YORK = "America/New_York"


def plugin_of(name):
    return SignalSettings(model=name).build()


def bars(span):
    return {symbol: resample_m1_to_m5(frame, calendar()) for symbol, frame in frames(span).items()}


def sessions(span):
    first, last = (date_to_day(dt.date.fromisoformat(day)) for day in span)
    return calendar().sessions(first, last).tolist()


def view(plugin, frame, symbol, day, history):
    _, session = calendar().closing_instants(frame["timestamp"].to_physical().to_numpy(), BarSize.M5)
    first = history[max(0, history.index(day) - plugin.history_sessions)]
    return SessionView(
        symbol=symbol,
        session=day_to_date(day),
        bars=frame.filter((session >= first) & (session <= day)),
        bar_size=BarSize.M5,
        calendar=calendar(),
        tz=NEW_YORK,
        run_id="run",
        strategy=plugin.name,
        strategy_version=plugin.version,
        instrument=Instrument(symbol=symbol),
    )


def views(plugin, span):
    history = sessions(span)
    for symbol, frame in bars(span).items():
        yield from (view(plugin, frame, symbol, day, history) for day in history[1:])


@pytest.mark.parametrize("name", known_plugins())
def test_it_says_what_it_is(name):
    plugin = plugin_of(name)
    assert slug(plugin.name) == plugin.name
    assert plugin.history_sessions >= 0
    assert type(plugin)(**plugin.model_dump()) == plugin


@pytest.mark.parametrize("name", known_plugins())
@pytest.mark.parametrize("span", SPANS)
def test_signals_are_of_the_schema_the_symbol_and_the_session(name, span, tmp_path):
    plugin, found = plugin_of(name), []
    for seen in views(plugin, span):
        opening, close = seen.bounds
        answer = plugin.signals(seen)
        assert isinstance(answer, Found)
        for signal in answer.signals:
            assert (signal.symbol, signal.strategy, signal.strategy_version) == (seen.symbol, plugin.name, plugin.version)
            assert opening < signal.timestamp <= close
        for reject in answer.rejects:
            assert reject.symbol == seen.symbol
            assert reject.reason
        found += answer.signals
    assert found, "two weeks of three symbols hold no signal: this suite would prove nothing"
    assert all(isinstance(signal, Signal) for signal in check_signals(found, risk_based=True))
    write_signals(tmp_path / "signals.csv", found)
    assert read_signals(tmp_path / "signals.csv", risk_based=True) == found


@pytest.mark.parametrize("name", known_plugins())
def test_it_is_the_same_twice(name):
    first, second = ([plugin.signals(seen) for seen in views(plugin, CLOCKS_CHANGE)] for plugin in (plugin_of(name),) * 2)
    assert first == second
    assert plugin_of(name) == plugin_of(name)


@pytest.mark.parametrize("name", known_plugins())
@pytest.mark.parametrize("span", SPANS)
def test_cutting_the_future_changes_no_earlier_signal(name, span):
    """At every bar of some sessions: exactly the signals known by then, and rejects known by then, are there already."""
    plugin = plugin_of(name)
    for whole in list(views(plugin, span))[::3]:
        complete = plugin.signals(whole)
        stamps = whole.bars["timestamp"].to_physical().to_numpy()
        known, _ = calendar().closing_instants(stamps, BarSize.M5)
        for stop in range(whole.earlier.height, len(stamps) + 1, 4):
            if not stop:
                continue
            cut = dataclasses.replace(whole, bars=whole.bars.head(stop))
            now = known[stop - 1]
            expected = [s for s in complete.signals if to_ns(s.timestamp) <= now]
            assert list(plugin.signals(cut).signals) == expected


@pytest.mark.parametrize("name", known_plugins())
def test_scores_are_of_shown_symbols_and_depend_on_nothing_later(name):
    plugin = plugin_of(name)
    daily = {symbol: daily_bars(frame, BarSize.M5, calendar()) for symbol, frame in bars(CLOCKS_CHANGE).items()}
    scored = 0
    for day in sessions(CLOCKS_CHANGE):
        shown = up_to(daily, day, 60)
        scores = plugin.scores(shown)
        assert set(scores) <= set(shown)
        assert all(np.isfinite(score) for score in scores.values())
        assert plugin.scores({symbol: frame.head(frame.height) for symbol, frame in shown.items()}) == scores
        scored += len(scores)
    assert scored, "no symbol was ever scored"


@pytest.mark.parametrize("name", known_plugins())
def test_nothing_to_see_is_nothing_found(name):
    plugin = plugin_of(name)
    assert plugin.scores({}) == {}
    symbol, frame = next(iter(bars(CLOCKS_CHANGE).items()))
    history = sessions(CLOCKS_CHANGE)
    seen = view(plugin, frame, symbol, history[3], history)
    assert plugin.signals(dataclasses.replace(seen, bars=frame.head(0))).signals == ()
    assert plugin.signals(dataclasses.replace(seen, bars=seen.earlier)).signals == ()
