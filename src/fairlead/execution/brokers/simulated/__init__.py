"""A broker in memory: an account that keeps orders as paper does, and the seam over it."""
