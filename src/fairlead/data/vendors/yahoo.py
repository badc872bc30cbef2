"""Yahoo Finance through `yfinance` (extra ``yahoo``): a free source for looking around, not one to trade on.

Yahoo serves prices as if every split had always been: a close of 1,000 before a split of ten to one comes as 100. Here they are
turned back into what was traded, volumes too, and the splits and dividends stand beside them.
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from pydantic import Field

from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.errors import BrokerConnection, ConfigurationError, DataError, DataNotFound, FairleadError, PacingViolation
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.vendors.history import HistoryPage, HistoryTraits, PageRequest
from fairlead.data.vendors.pace import PaceLimit
from fairlead.data.vendors.sources import HistoryKind

_INTERVALS: Final = {
    BarSize.M1: "1m",
    BarSize.M5: "5m",
    BarSize.M15: "15m",
    BarSize.M30: "30m",
    BarSize.H1: "1h",
    BarSize.D1: "1d",
}
_TIMEOUT_S: Final = 30.0
_DOLLAR_CALENDARS: Final = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "IEXG", "BATS"})
# Yahoo's numbers are single precision: seven digits. More would be noise, and no price above 1 is traded in finer steps.
_DIGITS: Final = 7
_DECIMALS: Final = 4

TRAITS: Final = HistoryTraits(
    sessions_per_page={
        BarSize.M1: 5,
        BarSize.M5: 20,
        BarSize.M15: 20,
        BarSize.M30: 20,
        BarSize.H1: 250,
        BarSize.D1: 12_600,
    },
    # One page is two or three requests of the library; Yahoo does not say what it allows, and blocks whoever is quick.
    limits=(PaceLimit(1, 1.0), PaceLimit(30, 60.0), PaceLimit(600, 3600.0)),
    reach_days={BarSize.M1: 29, BarSize.M5: 59, BarSize.M15: 59, BarSize.M30: 59, BarSize.H1: 729},
    has_actions=True,
    needs_actions=True,
)


class _Events(NamedTuple):
    """Dividends and splits of a symbol, as Yahoo tells them; days since the epoch, ascending."""

    since: int
    split_days: DayArray
    ratios: FloatArray
    dividend_days: DayArray
    amounts: FloatArray

    def later_splits(self, days: DayArray, *, own_day: bool = False) -> FloatArray:
        """Return the product of the splits after each day; with `own_day` those of the day itself too."""
        products = np.append(np.cumprod(self.ratios[::-1])[::-1], 1.0)
        factors: FloatArray = products[np.searchsorted(self.split_days, days, side="left" if own_day else "right")]
        return factors


class YahooHistoryKind(HistoryKind):
    """Yahoo Finance, which wants no key.

    Parameters
    ----------
    url : str, optional
        Where to ask instead, of a server that answers as Yahoo does: a cache in between, say.
    """

    url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")

    def open(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> YahooHistory:  # noqa: ARG002  no key
        """Return the source."""
        return YahooHistory(now_ns, self.url)


class YahooHistory:
    """Daily and intraday bars, splits and dividends of Yahoo Finance.

    Parameters
    ----------
    now_ns : callable
        The time of day: splits up to now are in its prices.
    url : str, optional
        As in `YahooHistoryKind`.

    Raises
    ------
    ConfigurationError
        If `yfinance` is not installed.
    """

    name = "yahoo"
    traits = TRAITS

    def __init__(self, now_ns: Callable[[], int], url: str | None = None) -> None:
        try:
            import yfinance  # noqa: PLC0415  heavy, and an extra
        except ImportError as exc:
            raise ConfigurationError(
                "'--source yahoo' needs the package yfinance, which is not installed. Install it: pip install 'fairlead[yahoo]'"
            ) from exc
        # Otherwise the library prints what went wrong and returns nothing, as if there were no bars.
        yfinance.config.debug.hide_exceptions = False
        self._library = yfinance
        self._now_ns = now_ns
        self._session = None if url is None else _session_at(url)
        self._events: dict[str, _Events] = {}

    def page(self, request: PageRequest) -> HistoryPage:
        """Return the bars of some sessions, as they were traded."""
        frame = self._history(request, _INTERVALS[request.bar_size], _after(request.last))
        if len(frame) == 0:
            return HistoryPage()
        days = _days(frame.index)
        events = self._events_of(request)
        factor = events.later_splits(days)
        columns = {name: _traded(frame[name].to_numpy(np.float64) * factor) for name in ("Open", "High", "Low", "Close")}
        columns["Volume"] = np.round(frame["Volume"].to_numpy(np.float64) / factor)
        return HistoryPage(frame[[*columns]].assign(**columns))

    def actions(self, request: PageRequest) -> Sequence[CorporateAction]:
        """Return the splits and dividends of some sessions."""
        events = self._events_of(request)
        splits = [
            CorporateAction(request.symbol, int(day), ActionKind.SPLIT, float(ratio))
            for day, ratio in zip(events.split_days, events.ratios, strict=True)
        ]
        # What is paid per share that was held into the day: a split of that day comes after it.
        raw = events.amounts * events.later_splits(events.dividend_days, own_day=True)
        dividends = [
            CorporateAction(request.symbol, int(day), ActionKind.DIVIDEND, round(float(amount), 6))
            for day, amount in zip(events.dividend_days, raw, strict=True)
        ]
        return sorted([*splits, *dividends], key=lambda action: action.sort_key)

    def close(self) -> None:
        """Do nothing: the library keeps its session for as long as the program runs."""

    def _events_of(self, request: PageRequest) -> _Events:
        """Return the events of a symbol from the request's first day until now, asked once."""
        known = self._events.get(request.symbol)
        if known is None or date_to_day(request.first) < known.since:
            frame = self._history(request, "1d", self._today() + dt.timedelta(days=1))
            days = _days(frame.index)
            ratios, amounts = (
                frame[name].to_numpy(np.float64) if name in frame else np.zeros(len(frame))
                for name in ("Stock Splits", "Dividends")
            )
            split, paid = ratios > 0, amounts > 0
            known = _Events(date_to_day(request.first), days[split], ratios[split], days[paid], amounts[paid])
            self._events[request.symbol] = known
        return known

    def _history(self, request: PageRequest, interval: str, end: dt.date) -> Any:
        symbol = yahoo_symbol(request.symbol, request.calendar.name)
        ticker = self._library.Ticker(symbol, session=self._session)
        try:
            with warnings.catch_warnings():
                # The library uses parts of pandas that announce their removal; its user can do nothing about it.
                warnings.simplefilter("ignore")
                return ticker.history(
                    start=request.first.isoformat(),
                    end=end.isoformat(),
                    interval=interval,
                    auto_adjust=False,
                    actions=True,
                    prepost=False,
                    timeout=_TIMEOUT_S,
                )
        except Exception as exc:
            _forget_answers()
            error = _translated(exc, request)
            if error is None:
                return _nothing()
            raise error from exc

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._now_ns() / 1e9, dt.UTC).date()


def _session_at(url: str) -> Any:
    """Return a session of the library's kind that sends everything to `url`, whatever host the library names."""
    from curl_cffi.requests import Session  # noqa: PLC0415  comes with yfinance

    class Elsewhere(Session):  # type: ignore[type-arg]
        def request(self, method: Any, url: str, *args: Any, **kwargs: Any) -> Any:
            path = urlsplit(url)._replace(scheme=there.scheme, netloc=there.netloc)
            return super().request(method, urlunsplit(path), *args, **kwargs)

    there = urlsplit(url)
    return Elsewhere(impersonate="chrome")


def yahoo_symbol(symbol: str, calendar: str) -> str:
    """Return how Yahoo spells a symbol: where it is a share's class that stands behind a dot, it writes a dash.

    Elsewhere than in the United States the dot is Yahoo's own, and names the exchange (``VOD.L``).
    """
    return symbol.replace(".", "-") if calendar in _DOLLAR_CALENDARS else symbol


def _translated(exc: Exception, request: PageRequest) -> FairleadError | None:
    """Return what an error of the library means; None if it means that there are no bars."""
    from yfinance import exceptions  # noqa: PLC0415  as above

    whom = f"yahoo ({request.symbol}, {request.first} to {request.last})"
    if isinstance(exc, exceptions.YFRateLimitError):
        return PacingViolation(f"{whom} says that too much was asked.")
    if isinstance(exc, exceptions.YFTzMissingError):
        return DataNotFound(f"yahoo knows no symbol {request.symbol!r}.")
    if isinstance(exc, exceptions.YFPricesMissingError):
        reason = str(getattr(exc, "yahoo_reason", None) or "")
        if "no data found" in reason.lower() or "not found" in reason.lower():
            return DataNotFound(f"yahoo knows no symbol {request.symbol!r}: {reason}")
        return None if not reason or "doesn't exist for startdate" in reason.lower() else DataError(f"{whom} says: {reason}")
    status = getattr(getattr(exc, "response", None), "status_code", None)
    if status == HTTPStatus.NOT_FOUND:
        return DataNotFound(f"yahoo knows no symbol {request.symbol!r}.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return PacingViolation(f"{whom} says that too much was asked.")
    # Whatever stands in between says so with a page of its own, where JSON was expected.
    if isinstance(
        exc, OSError | json.JSONDecodeError | exceptions.YFDataException
    ):  # every error of its HTTP library is an OSError
        return BrokerConnection(f"{whom} cannot be reached: {exc}")
    return DataError(f"the answer of {whom} cannot be understood: {type(exc).__name__}: {exc}")


def _forget_answers() -> None:
    """Make the library ask anew: it keeps answers of past dates, also the one that says that something went wrong."""
    from yfinance.data import YfData  # noqa: PLC0415  as above

    YfData.cache_get.cache_clear()


def _nothing() -> Any:
    import pandas as pd  # noqa: PLC0415  slow to import

    return pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC", name="Date"))


def _days(index: Any) -> DayArray:
    """Return the dates of stamps in their own zone, in days since the epoch."""
    days: DayArray = index.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int32)
    return days


def _after(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=1)


def _traded(prices: FloatArray) -> FloatArray:
    """Return prices without the noise of single precision and of the split's factor."""
    magnitude = np.floor(np.log10(np.abs(prices), where=prices != 0, out=np.zeros_like(prices)))
    scale = 10.0 ** np.where(magnitude >= 0, np.minimum(_DECIMALS, _DIGITS - 1 - magnitude), _DIGITS - 1 - magnitude)
    rounded: FloatArray = np.round(prices * scale) / scale
    return rounded
