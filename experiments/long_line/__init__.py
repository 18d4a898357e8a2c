"""How a very long line is kept and drained."""
