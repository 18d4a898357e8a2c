"""The HTTP calls of user-service."""
