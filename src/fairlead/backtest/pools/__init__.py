"""Where trials run: in this process, in others on this machine, or on a cluster. The results are the same to the bit."""
