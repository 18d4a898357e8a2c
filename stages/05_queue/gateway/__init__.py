"""The one door of the platform: checks tokens, vouches for identities, and forwards to the services."""
