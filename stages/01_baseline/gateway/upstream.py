"""The HTTP client towards the services: pooled, bounded, streaming."""

from __future__ import annotations

from common.http_client import HttpClient
from common.http_exchange import Body, Headers, HttpAnswer
from gateway.settings import GatewaySettings


class UpstreamClient:
    """Sends requests to the services, at most ``connections_per_service`` at once; more wait here."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._base_urls = {service: url.rstrip("/") for service, url in settings.service_urls.items()}
        self._client = HttpClient(
            connections=settings.connections_per_service,
            connect_seconds=settings.connect_seconds,
            idle_seconds=settings.idle_connection_seconds,
        )

    async def open(self) -> None:
        """Must run on the event loop that will use the client."""
        await self._client.open()

    async def close(self) -> None:
        await self._client.close()

    async def send(
        self, service: str, method: str, target: bytes, headers: Headers, body: Body, length: int | None = None
    ) -> HttpAnswer:
        """The service's answer, its body not yet read; arguments, repetition and errors as ``HttpClient.send``'s."""
        return await self._client.send(self._base_urls[service], method, target, headers, body, length)
