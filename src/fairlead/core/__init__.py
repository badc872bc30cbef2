"""The vocabulary: time, instruments, events, orders, fills, positions, portfolio, errors. Imports none of ours."""
