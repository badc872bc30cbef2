"""How orders meet the market: fill rules, slippage, commission, latency, and the simulated venue."""
