"""What the cache counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("concert_cache_requests", "Answers by how the cache took part in them.", ["kind", "outcome"])
LOADS = Histogram("concert_cache_load_seconds", "Time to make an answer that the cache did not have.", ["kind"])
ERRORS = Counter("concert_cache_errors", "Commands that the cache server did not answer.", ["error"])
EVICTED = Gauge("concert_cache_evicted_keys", "Keys that the cache server has given up for want of memory.")
