"""The pages that take a payment through in a browser: static but for their language, with nothing from outside.

Each is drawn once a language, when the service starts; the token that it uses stays in the tab's session storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from yarl import URL

from common.language import Language
from common.pages import Pages
from order.settings import OrderSettings


class WidgetPage(StrEnum):
    """The pages by the names under which Toss's own examples have them."""

    CHECKOUT = "checkout.html"
    SUCCESS = "success.html"
    FAIL = "fail.html"
    CONFIRM = "confirm.html"


class Widget:
    """The pages in both languages, as bytes, each with its headers."""

    def __init__(self, settings: OrderSettings) -> None:
        checkout = URL(settings.checkout_url or settings.payment_api_url) / "simulator" / "checkouts"
        pages = Pages(Path(__file__).parent / "templates")
        self._pages = {
            (page, language): pages.draw(
                page.value,
                language,
                asks=f"'self' {checkout.origin()}",
                checkout_url=str(checkout),
                client_key=settings.payment_client_key,
            )
            for page in WidgetPage
            for language in Language
        }

    def page(self, page: WidgetPage, language: Language) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers."""
        return self._pages[page, language]
