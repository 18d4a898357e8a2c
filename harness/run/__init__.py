"""A run: stages × scenarios × repeats, measured in turns, and what it leaves in ``reports/<run>/``."""
