"""The HTTP calls of order-service."""
