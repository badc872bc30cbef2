"""Proof that a result can be trusted: the look-ahead check now; trials, PSR, DSR, PBO, parity and gates to come."""
