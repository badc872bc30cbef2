"""Interactive Brokers as a source of data, and the way to its gateway that its broker shares."""
