"""OpenTelemetry for one process; imported only when an OTLP endpoint is configured (see ``common.telemetry``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Tracer

from common.http_client import HttpClient
from common.http_exchange import Headers, HttpAnswer

Ask = Callable[..., Awaitable[HttpAnswer]]


def instrument(app: Any, service_name: str) -> Any:
    """Exports a span for each request that ``app`` serves and for each call it makes to another service.

    Endpoint, headers and sampling follow OpenTelemetry's own environment variables (``OTEL_EXPORTER_OTLP_*``,
    ``OTEL_TRACES_SAMPLER``).
    """
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    HttpClient.ask = _spanned(HttpClient.ask, provider.get_tracer(__name__))  # type: ignore[method-assign, assignment]
    return OpenTelemetryMiddleware(app, excluded_urls="health,metrics", tracer_provider=provider)


def _spanned(ask: Ask, tracer: Tracer) -> Ask:
    """``HttpClient.ask`` in a span until the answer begins; the request tells of it (W3C Trace Context).

    Attributes are those of OpenTelemetry's semantic conventions for HTTP clients.
    """

    @wraps(ask)
    async def asked(
        client: HttpClient, base_url: str, method: str, target: bytes, headers: Headers, *others: Any, **named: Any
    ) -> HttpAnswer:
        attributes = {"http.request.method": method, "url.full": f"{base_url}{_path(target)}"}
        with tracer.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes) as span:
            carrier: dict[str, str] = {}
            inject(carrier)
            context = {name.encode(): value.encode() for name, value in carrier.items()}
            sent = [*(field for field in headers if field[0] not in context), *context.items()]
            answer = await ask(client, base_url, method, target, sent, *others, **named)
            span.set_attribute("http.response.status_code", answer.status)
            return answer

    return asked


def _path(target: bytes) -> str:
    """Without the query, in which there may be what a trace should not tell."""
    return target.partition(b"?")[0].decode("ascii")
