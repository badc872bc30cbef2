"""Brokers: the seam that each of them is met at, and what is the same for all of them."""
