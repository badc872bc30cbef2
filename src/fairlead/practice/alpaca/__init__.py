"""A broker to practise on that speaks Alpaca's protocols to Alpaca's own clients, on this machine alone."""
