"""Alpaca as a broker. The official client `alpaca-py` is loaded when one is opened."""
