"""What clients ask about instruments and the market: details, lines of market data, bars as they come, and history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_DAY, to_datetime
from fairlead.data.closing import session_hours
from fairlead.data.live.feed import MarketEvent
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws.admission import NO_DEFINITION
from fairlead.practice.tws.asked import Fields
from fairlead.practice.tws.bars import day_openings, gathered, joined, label_of, size_ns, stamp, start_of
from fairlead.practice.tws.client import Client
from fairlead.practice.tws.codes import Asked, Code, Told
from fairlead.practice.tws.listings import Listing, Listings
from fairlead.practice.tws.pacing import HistoryPacing
from fairlead.practice.tws.quotes import Day, Line
from fairlead.practice.tws.settings import TwsSettings
from fairlead.practice.tws.switches import TwsSwitches
from fairlead.practice.tws.translation import read_moment

_LATE_TYPES: Final = (3, 4)
_KINDS: Final = frozenset({"TRADES", "ADJUSTED_LAST"})
_REAL_TIME_S: Final = 5
_HISTORY: Final = "Historical Market Data Service error message:"


@dataclass(slots=True)
class _Going:
    """History that is kept up to date."""

    client: Client
    listing: Listing
    length_ns: int
    is_epoch: bool
    newest: Bar | None


class MarketDesk:
    """Answers everything about instruments and prices.

    Parameters
    ----------
    market : PracticeMarket, optional
        Without one, instruments are known and nothing of their prices.
    listings : Listings
    settings : TwsSettings
    switches : TwsSwitches
    now_ns, elapsed : callable
        The server's clock, and seconds of one that never goes back.
    """

    def __init__(
        self,
        market: PracticeMarket | None,
        listings: Listings,
        settings: TwsSettings,
        switches: TwsSwitches,
        now_ns: Callable[[], int],
        elapsed: Callable[[], float],
    ) -> None:
        self._market, self._listings, self._settings, self._switches = market, listings, settings, switches
        self._now_ns, self._elapsed = now_ns, elapsed
        self._hours = session_hours(market.calendar) if market is not None else None
        self._days: dict[str, Day] = {}
        self._lines: dict[tuple[Client, int], Line] = {}
        self._real_time: dict[tuple[Client, int], Listing] = {}
        self._going: dict[tuple[Client, int], _Going] = {}
        self._pacing: dict[Client, HistoryPacing] = {}
        self.violations = 0
        """How often more history was asked for than is allowed."""
        self.answers: dict[int, Callable[[Client, Fields], None]] = {
            Asked.CONTRACT_DETAILS: self._details,
            Asked.MARKET_DATA: self._market_data,
            Asked.CANCEL_MARKET_DATA: self._no_market_data,
            Asked.MARKET_DATA_TYPE: self._market_data_type,
            Asked.REAL_TIME_BARS: self._real_time_bars,
            Asked.CANCEL_REAL_TIME_BARS: self._no_real_time_bars,
            Asked.HISTORICAL_DATA: self._history,
            Asked.CANCEL_HISTORICAL_DATA: self._no_history,
            Asked.HEAD_TIMESTAMP: self._head_timestamp,
            Asked.CANCEL_HEAD_TIMESTAMP: lambda _client, _fields: None,
        }

    def hear(self, event: MarketEvent) -> None:
        """Tell everybody who wants to know what has become known."""
        day = self._days.setdefault(event.symbol, Day())
        day.take(event, self._settings.zone)
        if self._switches.is_cut_off:
            return
        for (client, request_id), line in list(self._lines.items()):
            if line.listing.symbol == event.symbol:
                line.tell(client, request_id, day, event)
        if isinstance(event, Bar):
            self._tell_bar(event)

    def forget(self, client: Client | None = None) -> None:
        """End what a client, or everybody, has subscribed to, without a word."""
        for subscriptions in (self._lines, self._real_time, self._going):
            for key in [key for key in subscriptions if client in (None, key[0])]:
                del subscriptions[key]
        if client is not None:
            self._pacing.pop(client, None)

    def _tell_bar(self, bar: Bar) -> None:
        for (client, request_id), listing in list(self._real_time.items()):
            if listing.symbol == bar.symbol:
                # The five seconds in which the bar ended hold all of it: whoever adds up five-second bars gets this one.
                seconds = bar.known_ns // 1_000_000_000 - _REAL_TIME_S
                prices = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.close)
                client.tell(Told.REAL_TIME_BAR, 3, request_id, seconds, *prices, 1)
        for (client, request_id), going in list(self._going.items()):
            if going.listing.symbol != bar.symbol or self._market is None or self._hours is None:
                continue
            label_ns = label_of(bar, going.length_ns, self._market.bar_size, self._hours)
            old = going.newest
            going.newest = joined(old, bar) if old and old.label_ns == label_ns else bar._replace(label_ns=label_ns)
            new = going.newest
            fields = (1, self._stamp(new, going.length_ns, is_epoch=going.is_epoch), new.open, new.close, new.high, new.low)
            client.tell(Told.HISTORICAL_UPDATE, request_id, *fields, new.close, new.volume)

    # Instruments.

    def _details(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id = fields.whole()
        listing = self._listings.find(fields.contract())
        if listing is None:
            client.error(request_id, Code.NO_CONTRACT, NO_DEFINITION)
            return
        version = () if client.version >= 164 else (8,)
        client.send(Told.CONTRACT_DETAILS, *version, request_id, *self._listings.details(listing, client.version))
        client.send(Told.CONTRACT_DETAILS_END, 1, request_id)

    # Market data.

    def _market_data_type(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        client.data_type = fields.whole()

    def _market_data(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id, listing = fields.whole(), self._listings.find(fields.contract())
        if fields.truth():
            fields.skip(3)
        generic, is_snapshot = tuple(fields.text().split(",")), fields.truth()
        if listing is None:
            client.error(request_id, Code.NO_CONTRACT, NO_DEFINITION)
            return
        code, is_late = self._switches.market_data_error, client.data_type in _LATE_TYPES
        if code and not (is_late and code == Code.NO_MARKET_DATA):
            client.error(request_id, code, _WHY_NO_DATA.get(code, "Requested market data is not available."))
            return
        of_client = sum(key[0] is client for key in self._lines)
        if of_client >= self._settings.tickers:
            client.error(request_id, Code.TOO_MANY_TICKERS, "Max number of tickers has been reached")
            return
        if is_late:
            client.error(request_id, Code.DELAYED, _WHY_NO_DATA[Code.DELAYED])
        line = Line(listing, generic, is_late)
        line.begin(client, request_id, self._days.get(listing.symbol, Day()))
        if is_snapshot:
            client.send(Told.SNAPSHOT_END, 1, request_id)
        else:
            self._lines[client, request_id] = line

    def _no_market_data(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id = fields.whole()
        if self._lines.pop((client, request_id), None) is None:
            client.error(request_id, Code.NO_TICKER, f"Can't find EId with tickerId:{request_id}")

    def _real_time_bars(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id, listing = fields.whole(), self._listings.find(fields.contract())
        length_s, what = fields.whole(), fields.text()
        if listing is None:
            client.error(request_id, Code.NO_CONTRACT, NO_DEFINITION)
        elif self._switches.market_data_error:
            text = "Invalid Real-time Query:No market data permissions for NASDAQ STK"
            client.error(request_id, Code.REAL_TIME, text)
        elif length_s != _REAL_TIME_S or what != "TRADES":
            client.error(request_id, Code.REAL_TIME, f"Invalid Real-time Query:No {what} bars of {length_s} seconds")
        else:
            self._real_time[client, request_id] = listing

    def _no_real_time_bars(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        self._real_time.pop((client, fields.whole()), None)

    # History.

    def _history(self, client: Client, fields: Fields) -> None:
        request_id, wanted = fields.whole(), fields.contract()
        fields.skip(1)
        end, size, span = fields.text(), fields.text(), fields.text()
        fields.skip(1)
        what, is_epoch, goes_on = fields.text(), fields.whole() == 2, fields.truth()
        listing, length_ns = self._listings.find(wanted), size_ns(size)
        end_ns = read_moment(end, self._settings.zone) if end else self._now_ns()
        if listing is None:
            client.error(request_id, Code.NO_CONTRACT, NO_DEFINITION)
        elif length_ns is None or end_ns is None or start_of(span, 0, ()) is None or (goes_on and end):
            cause = f"Invalid end '{end}', span '{span}' or bar size '{size}'"
            client.error(request_id, Code.INVALID, f"Error validating request.-'bN' : cause - {cause}")
        elif not self._is_within_pace(client, request_id, listing, what, (listing.con_id, end, size, span, what)):
            return
        elif self._switches.history_error:
            client.error(request_id, Code.HISTORY, f"{_HISTORY}{self._switches.history_error}")
        else:
            bars = self._bars(listing, end_ns, span, length_ns) if what in _KINDS else []
            if not bars and not goes_on:
                text = f"{_HISTORY}HMDS query returned no data: {listing.their_symbol}@SMART {what}"
                client.error(request_id, Code.HISTORY, text)
                return
            self._tell_history(client, request_id, bars, length_ns, end_ns, is_epoch=is_epoch)
            if goes_on:
                self._going[client, request_id] = _Going(client, listing, length_ns, is_epoch, bars[-1] if bars else None)

    def _is_within_pace(self, client: Client, request_id: int, listing: Listing, what: str, request: object) -> bool:
        pacing = self._pacing.setdefault(client, HistoryPacing(self._elapsed))
        in_work = sum(key[0] is client for key in self._going)
        why = pacing.refusal(listing.con_id, what, repr(request), in_work) if self._settings.paces_history else ""
        if why:
            self.violations += 1
            client.error(request_id, Code.HISTORY, f"{_HISTORY}API historical data query pacing violation: {why}")
        return not why

    def _bars(self, listing: Listing, end_ns: int, span: str, length_ns: int) -> list[Bar]:
        market, hours = self._market, self._hours
        if market is None or hours is None or length_ns < market.bar_size.ns or length_ns % market.bar_size.ns:
            return []
        known = market.bars(listing.symbol, 0, end_ns)
        start_ns = start_of(span, end_ns, day_openings(known, self._zone))
        chosen = [bar for bar in known if start_ns is not None and bar.label_ns >= start_ns]
        return gathered(chosen, length_ns, market.bar_size, hours)

    def _tell_history(
        self, client: Client, request_id: int, bars: list[Bar], length_ns: int, end_ns: int, *, is_epoch: bool
    ) -> None:
        rows: list[object] = []
        for bar in bars:
            date = self._stamp(bar, length_ns, is_epoch=is_epoch)
            rows += [date, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.close, 1]
        first = to_datetime(bars[0].label_ns if bars else end_ns)
        span = (f"{first:%Y%m%d %H:%M:%S} UTC", f"{to_datetime(end_ns):%Y%m%d %H:%M:%S} UTC")
        client.send(Told.HISTORICAL_DATA, request_id, *span, len(bars), *rows)

    def _no_history(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id = fields.whole()
        if self._going.pop((client, request_id), None) is None:
            client.error(request_id, Code.HISTORY, f"{_HISTORY}API historical data query cancelled: {request_id}")

    def _head_timestamp(self, client: Client, fields: Fields) -> None:
        request_id, listing = fields.whole(), self._listings.find(fields.contract())
        fields.skip(2)
        what, is_epoch = fields.text(), fields.whole() == 2
        if listing is None:
            client.error(request_id, Code.NO_CONTRACT, NO_DEFINITION)
            return
        bars = self._market.bars(listing.symbol, 0, self._now_ns()) if self._market is not None and what in _KINDS else []
        if not bars:
            client.error(request_id, Code.HISTORY, f"{_HISTORY}No head time stamp")
            return
        first_ns = bars[0].label_ns
        seconds = str(first_ns // 1_000_000_000)
        client.send(Told.HEAD_TIMESTAMP, request_id, seconds if is_epoch else f"{to_datetime(first_ns):%Y%m%d-%H:%M:%S}")

    @property
    def _zone(self) -> str:
        is_daily = self._market is not None and not self._market.bar_size.is_intraday
        return "UTC" if is_daily else self._settings.zone

    def _stamp(self, bar: Bar, length_ns: int, *, is_epoch: bool) -> str:
        is_days = length_ns >= NS_PER_DAY
        return stamp(bar.label_ns, self._zone, is_days=is_days, is_epoch=is_epoch)


_WHY_NO_DATA: Final = {
    int(Code.NO_MARKET_DATA): "Requested market data is not subscribed. Delayed market data is available.",
    int(Code.DELAYED): "Requested market data is not subscribed. Displaying delayed market data.",
    int(Code.PARTLY_SUBSCRIBED): "Part of requested market data is not subscribed.",
    int(Code.COMPETING): "No market data during competing live session",
}
