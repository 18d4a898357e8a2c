"""The HTTP client towards the services: pooled, bounded, streaming."""

from __future__ import annotations

from common.http_client import BROKEN, HttpClient, may_repeat
from common.http_exchange import Body, Headers, HttpAnswer
from discovery.instances import Attempts
from discovery.sources import Discovery
from gateway.settings import GatewaySettings


class UpstreamClient:
    """Sends requests to the services, at most ``connections_per_service`` at once to an instance; more wait here.

    Attributes:
        discovery: the services' instances.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.discovery = Discovery(settings, settings.service_urls)
        self._client = HttpClient(
            connections=settings.connections_per_service,
            connect_seconds=settings.connect_seconds,
            idle_seconds=settings.idle_connection_seconds,
        )

    async def open(self) -> None:
        """Must run on the event loop that will use the client."""
        await self.discovery.open()
        await self._client.open()

    async def close(self) -> None:
        await self.discovery.close()
        await self._client.close()

    async def send(
        self, service: str, method: str, target: bytes, headers: Headers, body: Body, length: int | None = None
    ) -> HttpAnswer:
        """The service's answer, its body not yet read; arguments and errors as ``HttpClient.ask``'s.

        A request that an instance did not take, since no connection to it could be made, is sent to another one. An
        idempotent request whose connection broke before the answer is sent once more, on a new connection, and if
        there is another instance, to that: most likely the first has just ended. A streamed body cannot be sent again.
        """
        attempts = Attempts(self.discovery.services[service])
        fresh = False
        while True:
            try:
                url = attempts.at.url
                answer = await self._client.ask(url, method, target, headers, body, length, fresh=fresh)
            except BaseException as problem:  # whatever it is, it is in flight there no longer
                repeats = may_repeat(method, body) and isinstance(problem, BROKEN)
                if not attempts.again(problem, may_repeat=repeats):
                    raise
            else:
                answer.on_end(attempts.at.finished)  # one that streams is in flight until then
                return answer
            fresh = True
