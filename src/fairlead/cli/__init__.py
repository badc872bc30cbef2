"""The command line: one verb per module. It prints; it never computes."""
