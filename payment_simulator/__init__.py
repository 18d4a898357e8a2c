"""A payment provider to test against: a process of its own that speaks the Toss Payments core API.

It stands for somebody else's system, the same for every stage, and its answers are Toss's, not the platform's.
What it adds to Toss is under ``/simulator``. See ``README.md``.
"""
