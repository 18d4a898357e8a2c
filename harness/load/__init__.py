"""Load: a Locust process of its own for each cell, and what it saw."""
