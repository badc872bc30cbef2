"""What can be traded at the server, and under which number the protocol knows it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from fairlead.core.instruments import AssetClass, Instrument

_KINDS: Final = {AssetClass.EQUITY: "STK", AssetClass.ETF: "STK", AssetClass.FX: "CASH", AssetClass.CRYPTO: "CRYPTO"}
_PRIMARY: Final = "NASDAQ"


class WantedContract(NamedTuple):
    """A contract as a client describes it, in the order of the protocol."""

    con_id: str
    symbol: str
    kind: str
    expiry: str
    strike: str
    right: str
    multiplier: str
    exchange: str
    primary_exchange: str
    currency: str
    local_symbol: str
    trading_class: str


class Listing(NamedTuple):
    """One instrument with its number."""

    con_id: int
    instrument: Instrument
    kind: str

    @property
    def symbol(self) -> str:
        """Our name; the protocol writes share classes with a space."""
        return self.instrument.symbol

    @property
    def their_symbol(self) -> str:
        """The name in the protocol: BRK B for BRK.B."""
        return self.symbol.replace(".", " ")

    @property
    def short(self) -> tuple[object, ...]:
        """The fields by which most messages name a contract: eleven, from its number to its class."""
        name = self.their_symbol
        return (self.con_id, name, self.kind, "", 0, "", "", "SMART", self.instrument.currency, name, name)

    @property
    def min_tick(self) -> float:
        """The price grid, as contract details tell it."""
        return self.instrument.tick_size or 0.01


class Listings:
    """Every instrument of a server. Its numbers are the same whatever else is listed and whenever it is started.

    Parameters
    ----------
    symbols : iterable of str
    instruments : mapping, optional
        Where one is not a US stock.
    """

    def __init__(self, symbols: Iterable[str], instruments: Mapping[str, Instrument] | None = None) -> None:
        known = instruments or {}
        self._by_id: dict[int, Listing] = {}
        self._by_symbol: dict[str, Listing] = {}
        for symbol in sorted(set(symbols)):
            instrument = known.get(symbol) or Instrument(symbol=symbol)
            con_id = zlib.crc32(symbol.encode()) % 900_000_000 + 1
            while con_id in self._by_id:
                con_id += 1
            listing = Listing(con_id, instrument, _KINDS.get(instrument.asset_class, "STK"))
            self._by_id[con_id] = self._by_symbol[symbol] = listing

    def of(self, symbol: str) -> Listing:
        """Return the listing of a symbol that is known to be listed."""
        return self._by_symbol[symbol]

    def find(self, wanted: WantedContract) -> Listing | None:
        """Return what a client describes; None if there is no such thing, or it is something else under that number."""
        if wanted.con_id not in ("", "0"):
            listing = self._by_id.get(int(wanted.con_id)) if wanted.con_id.isdecimal() else None
        else:
            name = (wanted.symbol or wanted.local_symbol).upper().replace(" ", ".")
            listing = self._by_symbol.get(name)
        if listing is None:
            return None
        their = listing.their_symbol
        agrees = (
            wanted.symbol.upper() in ("", their, listing.symbol)
            and wanted.kind in ("", listing.kind)
            and wanted.currency in ("", listing.instrument.currency)
            and wanted.exchange in ("", "SMART", _PRIMARY)
        )
        return listing if agrees else None

    def details(self, listing: Listing, version: int) -> tuple[object, ...]:
        """Return the fields of contract details from the symbol on."""
        name, currency, step = listing.their_symbol, listing.instrument.currency, listing.instrument.lot_step
        types = "ACTIVETIM,AD,ADJUST,ALERT,ALGO,DAY,GTC,GTD,IOC,FOK,LMT,MKT,OCA,STP,STPLMT,TRAIL"
        sizes: tuple[object, ...] = (listing.instrument.min_quantity, step, step) if version >= 164 else ()
        return (
            *(name, listing.kind, "", 0, "", "SMART", currency, name, name, name, listing.con_id, listing.min_tick),
            *(() if version >= 164 else (100,)),
            *("", types, f"SMART,{_PRIMARY}", 1, 0, listing.symbol, _PRIMARY, "", "", "", ""),
            *("US/Eastern", "", "", "", 0, 0, 1, "", "", "26", "", "COMMON"),
            *(sizes if version != 163 else (step,)),
        )
