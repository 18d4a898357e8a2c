"""Four ways to sell a seat once, side by side on real servers: what each of them buys, and what it costs."""
