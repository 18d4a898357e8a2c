"""``/waiting-queue``: what the owner of a ticket sees in a browser, who is known by the ticket's cookie.

That is sent below ``/monitor`` only, so the page is there. It works by refreshing; a script only saves that.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

from common.errors import LoginRequired, MethodNotAllowed, ServiceUnavailable, TicketNotFound
from common.language import current_language
from common.pages import Pages, raw
from gateway.desk import TicketDesk
from gateway.exchange import Exchange
from gateway.ticket_monitor import TicketMonitor

PATH = "/monitor/waiting-queue"

_HEADERS = {"cache-control": "no-store", "vary": "accept-language, cookie"}


class WaitingPage:
    """Draws the page."""

    def __init__(self, monitor: TicketMonitor, desk: TicketDesk) -> None:
        self._monitor, self._desk = monitor, desk
        self._pages = Pages(Path(__file__).parent / "templates")

    async def redirect(self, exchange: Exchange) -> None:
        """To where the cookie is sent."""
        where = PATH.encode() + (b"?" + exchange.query if exchange.query else b"")
        await exchange.answer(307, [(b"location", where)], b"")

    async def answer(self, exchange: Exchange) -> None:
        """The page of the ticket that ``?ticket=`` names, else of the cookie's."""
        if exchange.method not in ("GET", "HEAD"):
            raise MethodNotAllowed
        code, status = 200, None
        try:
            named = parse_qs(exchange.query.decode("latin-1")).get("ticket", [None])[0]
            status = await self._desk.status(self._monitor.owned(exchange, named))
        except (LoginRequired, TicketNotFound):
            pass  # it says so itself, and what to do
        except ServiceUnavailable:
            code = 503
        html, headers = self._pages.draw("waiting.html", current_language(), status=status, code=code)
        await exchange.answer(code, raw({**headers, **_HEADERS}), html)  # of a HEAD, uvicorn sends no body
