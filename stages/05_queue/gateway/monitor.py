"""Who is there: the instances of each service as this gateway sees them, for managers, and a page that shows them."""

from __future__ import annotations

import time
from pathlib import Path

from common.errors import NotAuthorized
from common.language import Language, current_language
from common.pages import Pages, raw
from common.wire import ok
from discovery.sources import Discovery
from gateway.authentication import TokenVerifier
from gateway.exchange import Exchange

_LIST_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Monitor:
    """Answers for the gateway itself."""

    def __init__(self, tokens: TokenVerifier, discovery: Discovery) -> None:
        self._tokens, self._discovery = tokens, discovery
        pages = Pages(Path(__file__).parent / "templates")
        self._pages = {language: pages.draw("monitor.html", language) for language in Language}

    async def page(self, exchange: Exchange) -> None:
        """The page, which shows nothing by itself: it asks for the instances with a manager's token."""
        body, headers = self._pages[current_language()]
        await exchange.answer(200, raw(headers), body)

    async def instances(self, exchange: Exchange) -> None:
        """Raises LoginRequired or NotAuthorized if it is no manager who asks."""
        if not self._tokens.user_of(exchange.headers).is_manager:
            raise NotAuthorized("a manager's call")
        await exchange.answer(200, _LIST_HEADERS, bytes(ok(self._instances()).body))

    def _instances(self) -> list[dict[str, object]]:
        return [
            {
                "service": service,
                "url": one.url,
                "ready": one.is_ready,
                "leaseAgeSeconds": None if one.renewed_at is None else time.monotonic() - one.renewed_at,
                "inFlight": one.in_flight,
                "ejections": one.ejections,
                "ejected": one.is_ejected,
            }
            for service, instances in self._discovery.services.items()
            for one in instances
        ]
