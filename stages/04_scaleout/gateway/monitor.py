"""Who is there: the instances of each service as this gateway sees them, for managers, and a page that shows them."""

from __future__ import annotations

import time
from pathlib import Path

from jinja2 import Template

from common.errors import NotAuthorized
from common.identity import User
from common.language import Language, current_language
from common.wire import ok
from discovery.sources import Discovery
from gateway.exchange import Exchange
from gateway.routes import Access, Route

# The page itself shows nothing: it asks for the instances with a manager's token.
ROUTES = {
    "/monitor": Route(Access.PUBLIC, "monitor", b"/monitor"),
    "/monitor/instances": Route(Access.USER, "monitor", b"/monitor/instances"),
}

_PAGE_HEADERS = [(b"content-type", b"text/html; charset=utf-8"), (b"vary", b"accept-language")]
_LIST_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Monitor:
    """Answers ``ROUTES``."""

    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery
        template = Template((Path(__file__).parent / "templates" / "monitor.html").read_text(), autoescape=True)
        self._pages = {language: template.render(language=language.value).encode() for language in Language}

    async def answer(self, exchange: Exchange, user: User | None) -> None:
        """Raises NotAuthorized if ``user`` is no manager, and it is not the page that is asked for."""
        if exchange.path == "/monitor":
            headers, body = _PAGE_HEADERS, self._pages[current_language()]
        elif user is None or not user.is_manager:
            raise NotAuthorized("a manager's call")
        else:
            headers, body = _LIST_HEADERS, bytes(ok(self._instances()).body)
        await exchange.respond(200, [*headers, (b"content-length", b"%d" % len(body))], body)

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
