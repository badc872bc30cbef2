"""History from vendors: one seam, a module per vendor, and the pull that stores what they have."""
