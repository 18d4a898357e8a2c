"""What no stage changes: the wire format, errors, identity, database and HTTP helpers, telemetry, base settings."""
