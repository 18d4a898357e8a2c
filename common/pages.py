"""Pages for browsers: in both languages, with nothing from outside.

A page's Content-Security-Policy names the digests of its own scripts and styles, so that nothing else runs in it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.language import Language

_SELF = "'self'"


class Pages:
    """Draws pages from a folder of templates, which choose their words with ``say(korean, english)``."""

    def __init__(self, templates: Path) -> None:
        self._environment = Environment(loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined)

    def draw(
        self, template: str, language: Language, *, asks: str = _SELF, **values: Any
    ) -> tuple[bytes, dict[str, str]]:
        """The page and its headers.

        Args:
            asks: whom its scripts may ask, as sources of a Content-Security-Policy.
        """
        html = self._environment.get_template(template).render(
            values,
            language=language.value,
            say=lambda korean, english: korean if language is Language.KOREAN else english,
        )
        return html.encode(), {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": (
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
                f" style-src {_digests('style', html)}; script-src {_digests('script', html)}; connect-src {asks}"
            ),
            "referrer-policy": "no-referrer",  # the address may have in it what is nobody else's business
            "x-content-type-options": "nosniff",
            "cache-control": "no-cache",
            "vary": "accept-language",
        }


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers as ASGI has them."""
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _digests(tag: str, html: str) -> str:
    """Sources (CSP Level 3, "hash-source") for what stands in the page between the tags."""
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
