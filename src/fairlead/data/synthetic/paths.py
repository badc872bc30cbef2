"""Prices inside a session: bridges from its first price to its last, and the extremes between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.time import BarSize
from fairlead.data.synthetic.market import Grid, Loadings, Market

# The smile decays by a factor e within half an hour of a 390-minute session; the close has 60 % of the open's height.
SMILE_WIDTH = 1.0 / 13.0
CLOSE_HEIGHT = 0.6
# Rows worked on at once: large enough to amortise a numpy call, small enough for the cache.
PIECE_ROWS = 200_000
# Volume is lognormal around the smile, and larger in bars that move: log V = level + NOISE * z + MOVE * |x| - CENTRE.
VOLUME_NOISE = 0.35
VOLUME_MOVE = 0.25
VOLUME_CENTRE = 0.2726  # log of the mean of exp(NOISE * z + MOVE * |x|) for independent unit normals z and x


class Schedule(NamedTuple):
    """The bars of consecutive sessions that have the same bar lengths.

    Attributes
    ----------
    first, stop : int
        The sessions, as rows of the market.
    label_ns, known_ns : int64 arrays of shape (sessions, n)
    elapsed : float64 array of shape (n + 1,)
        Fraction of the session's trading time at the bounds of its bars: 0 to 1.
    """

    first: int
    stop: int
    label_ns: IntArray
    known_ns: IntArray
    elapsed: FloatArray


class SessionBars(NamedTuple):
    """Bars of consecutive sessions; float64 arrays of shape (sessions, k, n), prices on the tick grid."""

    schedule: Schedule
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


def smile_shares(elapsed: FloatArray, smile: float) -> FloatArray:
    """Return each bar's share of a session's variance and volume: high at the open and close, low at midday.

    Parameters
    ----------
    elapsed : array of shape (n + 1,)
        Fraction of trading time at the bounds of the bars.
    smile : float
        Excess of the open over midday.

    Returns
    -------
    array of shape (n,)
        Sums to 1.
    """
    opening = SMILE_WIDTH * (1.0 - np.exp(-elapsed / SMILE_WIDTH))
    closing = SMILE_WIDTH * (np.exp((elapsed - 1.0) / SMILE_WIDTH) - np.exp(-1.0 / SMILE_WIDTH))
    whole = elapsed + smile * (opening + CLOSE_HEIGHT * closing)
    shares: FloatArray = np.diff(whole) / whole[-1]
    return shares


def schedules(market: Market, bar_size: BarSize, first: int, stop: int) -> Iterator[Schedule]:
    """Yield the schedules of the sessions [first, stop), in order and in pieces of bounded size."""
    days = market.session[first:stop]
    labels = market.calendar.labels(int(days[0]), int(days[-1]), bar_size)
    known, session = market.calendar.closing_instants(labels, bar_size)
    bounds = [*np.searchsorted(session, days, side="left").tolist(), len(session)]
    lengths = [(known[a:b] - labels[a:b]).tobytes() for a, b in itertools.pairwise(bounds)]
    start = 0
    while start < len(days):
        bars = bounds[start + 1] - bounds[start]
        most = max(1, PIECE_ROWS // (bars * len(market.symbols)))
        end = start + 1
        while end < len(days) and end - start < most and lengths[end] == lengths[start]:
            end += 1
        chosen = slice(bounds[start], bounds[end])
        seconds = np.cumsum(np.frombuffer(lengths[start], np.int64))
        shape = (end - start, bars)
        yield Schedule(
            first + start,
            first + end,
            labels[chosen].reshape(shape),
            known[chosen].reshape(shape),
            np.concatenate([[0.0], seconds / seconds[-1]]),
        )
        start = end


def session_bars(market: Market, schedule: Schedule) -> SessionBars:
    """Return the intraday bars of every symbol in the sessions of `schedule`."""
    chosen = slice(schedule.first, schedule.stop)
    share = smile_shares(schedule.elapsed, market.settings.smile)
    noise, reach, volume = _noise(market, schedule)
    volume *= VOLUME_NOISE
    volume += VOLUME_MOVE * np.abs(noise)
    spread = market.deviation[chosen, :, None] * np.sqrt(share)
    # A bridge: the walk's own end is replaced by the session's, spread over the bars as variance is.
    noise *= spread
    close = np.cumsum(noise, axis=2)
    close += (market.move[chosen] - close[..., -1])[..., None] * np.cumsum(share)
    close += market.log_open[chosen, :, None]
    for row, column, when, size in market.jump_table(schedule.first, schedule.stop):
        bar = int(np.searchsorted(schedule.elapsed, when, side="right")) - 1
        close[row - schedule.first, column, bar:] += size
    opened = np.empty_like(close)
    opened[..., 0] = market.log_open[chosen]
    opened[..., 1:] = close[..., :-1]
    level = market.mean_volume * (market.activity * market.length)[chosen, None]
    return _on_grid(schedule, market.settings.tick, opened, close, spread, reach, volume, level[..., None] * share)


def daily_bars(market: Market) -> SessionBars:
    """Return one bar per session and symbol, for all sessions; arrays of shape (s, k, 1)."""
    labels = market.calendar.labels(int(market.session[0]), int(market.session[-1]), BarSize.D1)
    known, _ = market.calendar.closing_instants(labels, BarSize.D1)
    schedule = Schedule(0, len(market.session), labels[:, None], known[:, None], np.array([0.0, 1.0]))
    shape = (*market.move.shape, 1)
    reach, volume = np.empty((*market.move.shape, 2, 1)), np.empty(shape)
    for column, symbol in enumerate(market.symbols):
        reach[:, column, :, 0] = market.symbol_stream("daily extremes", symbol).standard_exponential((len(labels), 2))
        volume[:, column, 0] = market.symbol_stream("daily volumes", symbol).standard_normal(len(labels))
    moved = np.divide(market.move, market.deviation, out=np.zeros_like(market.move), where=market.deviation > 0)
    volume *= VOLUME_NOISE
    volume += VOLUME_MOVE * np.abs(moved)[..., None]
    level = market.mean_volume * (market.activity * market.length)[:, None]
    return _on_grid(
        schedule,
        market.settings.tick,
        market.log_open[..., None].copy(),
        market.log_close[..., None].copy(),
        market.deviation[..., None],
        reach,
        volume,
        level[..., None],
    )


def _noise(market: Market, schedule: Schedule) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return correlated unit normals (sessions, k, n), unit exponentials (..., 2, n) and independent unit normals."""
    load = Loadings.of(market.settings)
    sectors = np.unique(market.sector)
    height, bars = schedule.label_ns.shape
    shape = (height, len(market.symbols), bars)
    noise, volume, reach = np.empty(shape), np.empty(shape), np.empty((*shape[:2], 2, bars))
    common = np.empty((int(sectors[-1]) + 1, bars))
    for i in range(height):
        row = schedule.first + i
        shared = market.stream("bars/market", row).standard_normal(bars) * load.market
        for sector in sectors.tolist():
            own = market.stream(f"bars/sector {sector}", row).standard_normal(bars)
            common[sector] = shared + load.sector * own
        for column, symbol in enumerate(market.symbols):
            random = market.stream(f"bars/{symbol}", row)
            random.standard_normal(out=noise[i, column])
            random.standard_exponential(out=reach[i, column])
            random.standard_normal(out=volume[i, column])
        noise[i] *= load.own
        noise[i] += common[market.sector]
    return noise, reach, volume


def _on_grid(
    schedule: Schedule,
    tick: float,
    opened: FloatArray,
    closed: FloatArray,
    spread: FloatArray,
    reach: FloatArray,
    volume: FloatArray,
    level: FloatArray,
) -> SessionBars:
    """Turn log prices into bars, in place of the arrays given.

    The extremes are exact: the maximum of a Brownian bridge from a to b with deviation s is distributed as
    (a + b + sqrt((b - a)^2 + 2 s^2 E)) / 2 with a unit exponential E.
    """
    middle = (opened + closed) * 0.5
    square = np.square(closed - opened) * 0.25
    half_variance = np.square(spread) * 0.5
    high, low = reach[..., 0, :] * half_variance, reach[..., 1, :] * half_variance
    for extreme in (high, low):
        np.add(extreme, square, out=extreme)
        np.sqrt(extreme, out=extreme)
    high += middle
    np.subtract(middle, low, out=low)
    grid = Grid(tick)
    for prices in (opened, closed, high, low):
        np.exp(prices, out=prices)
        grid.ticks(prices)
    # True of the formula; the last digit of its square root may disagree.
    np.maximum(high, np.maximum(opened, closed), out=high)
    np.minimum(low, np.minimum(opened, closed), out=low)
    for prices in (opened, closed, high, low):
        grid.price(prices)
    volume -= VOLUME_CENTRE
    np.exp(volume, out=volume)
    volume *= level
    np.rint(volume, out=volume)
    np.maximum(volume, 1.0, out=volume)
    return SessionBars(schedule, opened, high, low, closed, volume)
