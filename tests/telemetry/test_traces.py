"""Traces: off by default, and when a collector is named, one trace through the gateway and the services."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from common.identity import Role, User
from common.tokens import issue_token
from harness.launch import Secrets, launch
from harness.provision import Component, Infrastructure
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain


class Collector(ThreadingHTTPServer):
    """Takes traces over OTLP/HTTP, as a real collector does, and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, Span]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
        for resource in request.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.server.spans += [(attributes["service.name"], span) for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """A test has no use for an access log."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_one_request_is_one_trace(
    collector: Collector,
    stage: Stage,
    infrastructure: Infrastructure,
    databases: dict[str, str],
    supervisor: Supervisor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    infrastructure.ensure(*(Component(name) for name in stage.infrastructure))
    secrets = Secrets()
    token = issue_token(User(1, "reader@example.com", Role.USER), secrets.jwt)
    with launch(
        stage, infrastructure, supervisor, database_urls=databases, secrets=secrets, log_folder=tmp_path
    ) as running:
        answer = plain.get(
            f"{running.gateway_url}/concert-service/concerts", headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 200
    # A process exports what it still has when it is stopped.
    served = [(service, span) for service, span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    listing = [(service, span) for service, span in served if "/concerts" in str(span.attributes)]
    assert sorted(name for name, _ in listing) == ["concert", "gateway"], "one server span a process"
    assert len({span.trace_id for _, span in listing}) == 1
    assert not [span for _, span in served if "/health" in str(span.attributes)]
    by_service = dict(listing)
    asked = [span for service, span in collector.spans if span.span_id == by_service["concert"].parent_span_id]
    assert [(span.kind, span.parent_span_id) for span in asked] == [
        (Span.SPAN_KIND_CLIENT, by_service["gateway"].span_id)
    ], "the call to the service is a span of the gateway's"
