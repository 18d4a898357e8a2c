"""user-service: accounts, sign-up, login."""
