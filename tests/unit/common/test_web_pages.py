"""A page's headers let its own script and style run, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from common.language import Language
from common.pages import Pages, raw

PAGE = """<html lang="{{ language }}"><style>
p { color: red; }
</style><p>{{ say("이름", "Name") }}: {{ name }}</p>
<script>"use strict"; // {{ say("안녕", "hello") }}</script></html>"""


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "bare.html").write_text("<p>nothing runs here</p>")
    return Pages(tmp_path)


def _policy(headers: dict[str, str]) -> dict[str, list[str]]:
    directives = (directive.split() for directive in headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in directives}


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@pytest.mark.parametrize(("language", "word"), [(Language.KOREAN, "안녕"), (Language.ENGLISH, "hello")])
def test_the_policy_names_what_stands_in_the_page_in_its_language(pages: Pages, language: Language, word: str) -> None:
    _, headers = pages.draw("page.html", language, name="")
    assert _policy(headers) == {
        "default-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "style-src": [_digest("\np { color: red; }\n")],
        "script-src": [_digest(f'"use strict"; // {word}')],
        "connect-src": ["'self'"],
    }


def test_a_page_without_script_and_style_may_run_none(pages: Pages) -> None:
    _, headers = pages.draw("bare.html", Language.ENGLISH, asks="'none'")
    policy = _policy(headers)
    assert [policy[name] for name in ("style-src", "script-src", "connect-src")] == [["'none'"]] * 3


def test_values_are_text_and_bring_no_script_into_the_policy(pages: Pages) -> None:
    evil = "<script>alert(1)</script>"
    html, headers = pages.draw("page.html", Language.ENGLISH, name=evil)
    assert evil.encode() not in html
    assert _policy(headers) == _policy(pages.draw("page.html", Language.ENGLISH, name="")[1])


def test_a_value_that_is_missing_is_an_error(pages: Pages) -> None:
    with pytest.raises(UndefinedError):
        pages.draw("page.html", Language.ENGLISH)


def test_headers_as_asgi_has_them(pages: Pages) -> None:
    _, headers = pages.draw("bare.html", Language.KOREAN)
    assert (b"content-type", b"text/html; charset=utf-8") in raw(headers)
    assert len(raw(headers)) == len(headers)
