"""Interactive Brokers as a broker (extra ``ibkr``)."""
