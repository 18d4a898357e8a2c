"""What the gateway counts beside the requests themselves."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.authentication import TokenVerifier

UPSTREAM_FAILURES = Counter(
    "gateway_upstream_failures", "Requests that a service did not answer, or not to the end.", ["service", "reason"]
)


class TokenCacheCollector(Collector):
    """The token cache's figures, read when they are asked for: a hit costs less than counting it here would."""

    def __init__(self, tokens: TokenVerifier) -> None:
        self._tokens = tokens

    def collect(self) -> Iterator[Metric]:
        checks = CounterMetricFamily("gateway_token_checks", "Bearer tokens checked.", labels=["answered_from"])
        checks.add_metric(["cache"], self._tokens.hits)
        checks.add_metric(["verification"], self._tokens.misses)
        yield checks
        yield GaugeMetricFamily("gateway_tokens_remembered", "Verified tokens in the cache.", len(self._tokens))


def publish(tokens: TokenVerifier) -> None:
    """Adds the token cache's figures to ``/metrics``."""
    REGISTRY.register(TokenCacheCollector(tokens))
