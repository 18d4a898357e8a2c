"""The report of a run: one self-contained HTML page, and a table for the terminal."""
