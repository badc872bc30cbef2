"""Alpaca's market data: as it happens, and as it was. The official client `alpaca-py` is loaded when something is asked."""
