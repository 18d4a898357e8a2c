"""Cancellations that could not be done: looked at, and replayed, on a running stage."""
