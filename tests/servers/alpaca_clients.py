"""Alpaca's own clients. They import a part of websockets that warns of its age, which is nobody's fault here."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.data.live.stock import StockDataStream
    from alpaca.trading.client import TradingClient
    from alpaca.trading.stream import TradingStream

__all__ = ["CorporateActionsClient", "StockDataStream", "StockHistoricalDataClient", "TradingClient", "TradingStream"]
