"""OpenTelemetry for one process; imported only when an OTLP endpoint is configured (see ``common.telemetry``)."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def instrument(app: Any, service_name: str) -> Any:
    """Exports a span for each request that ``app`` serves and for each call it makes to another service.

    Endpoint, headers and sampling follow OpenTelemetry's own environment variables (``OTEL_EXPORTER_OTLP_*``,
    ``OTEL_TRACES_SAMPLER``).
    """
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    return OpenTelemetryMiddleware(app, excluded_urls="health,metrics", tracer_provider=provider)
