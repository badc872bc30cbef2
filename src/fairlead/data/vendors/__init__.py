"""Where market data is had from: one package for each vendor."""
