"""The correctness rules (design.md), checked from the databases, the provider's ledger and the clients' records."""
