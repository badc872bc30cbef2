"""A broker adapter to begin from: see the guide "Write a broker adapter"."""
