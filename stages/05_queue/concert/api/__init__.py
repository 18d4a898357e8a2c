"""The HTTP calls of concert-service."""
