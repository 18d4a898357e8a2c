"""The pages that take a payment through in a browser: static but for their language, with nothing from outside.

Each page is rendered once a language, when the service starts. Its Content-Security-Policy names the digests of its own
script and style, so that nothing else runs; the token that it uses stays in the tab's session storage.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from yarl import URL

from common.language import Language
from order.settings import OrderSettings

_TEMPLATES = Path(__file__).parent / "templates"


class WidgetPage(StrEnum):
    """The pages by the names under which Toss's own examples have them."""

    CHECKOUT = "checkout.html"
    SUCCESS = "success.html"
    FAIL = "fail.html"
    CONFIRM = "confirm.html"


class Widget:
    """The pages in both languages, as bytes, each with its headers."""

    def __init__(self, settings: OrderSettings) -> None:
        self._checkout = URL(settings.checkout_url or settings.payment_api_url) / "simulator" / "checkouts"
        self._client_key = settings.payment_client_key
        environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
        self._pages = {
            (page, language): self._render(environment, page, language) for page in WidgetPage for language in Language
        }

    def page(self, page: WidgetPage, language: Language) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers."""
        return self._pages[page, language]

    def _render(self, environment: Environment, page: WidgetPage, language: Language) -> tuple[bytes, dict[str, str]]:
        html = environment.get_template(page.value).render(
            language=language.value,
            say=lambda korean, english: korean if language is Language.KOREAN else english,
            checkout_url=str(self._checkout),
            client_key=self._client_key,
        )
        return html.encode(), {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": self._policy(html),
            # The address has the payment key in it.
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "cache-control": "no-cache",
            "vary": "accept-language",
        }

    def _policy(self, html: str) -> str:
        return (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
            f" style-src {_digests('style', html)}; script-src {_digests('script', html)};"
            f" connect-src 'self' {self._checkout.origin()}"
        )


def _digests(tag: str, html: str) -> str:
    """CSP sources (CSP Level 3, "hash-source") for what stands in the page between the tags."""
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
