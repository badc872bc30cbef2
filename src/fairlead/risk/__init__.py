"""What may be traded and how much of it: sizing, and the checks before an order leaves."""
