"""Hot functions, each timed alone: no server, no network.

In a normal run every one of them is called once and its result is checked. For numbers, on a machine that does nothing
else::

    uv run pytest tests/benchmarks --benchmark-enable

``--benchmark-autosave`` keeps them in ``.benchmarks/``, and ``--benchmark-compare`` shows what has changed since.
"""
