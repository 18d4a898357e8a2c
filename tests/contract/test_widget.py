"""The widget's pages: open to everybody, self-contained, and able to take a payment through in a browser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.contract.chromium import Tab, browsing, executable
from tests.contract.client import Api
from tests.contract.ordering import PRICE, Shop

pytestmark = pytest.mark.unchanged_code(
    "order/api/payments.py", "order/api/widget.py", "order/confirmation.py", "order/payments.py", "order/templates",
    "order/widget.py",
)  # fmt: skip

WIDGET = "/order-service/widget"
PAGES = ["checkout.html", "success.html", "fail.html", "confirm.html"]

in_a_browser = pytest.mark.skipif(executable() is None, reason="this machine has no Chromium")


class References(HTMLParser):
    """What a page refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "action", "data", "poster", "srcset"):
                self.found.append(value or "")
            if name.startswith("on") or name == "style":
                self.handlers.append(name)


def page(http: httpx.Client, name: str, language: str = "ko") -> httpx.Response:
    answer = http.get(f"{WIDGET}/{name}", headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_open_and_needs_nothing_from_outside(name: str, language: str, http: httpx.Client) -> None:
    answer = page(http, name, language)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f'<html lang="{language}">' in answer.text
    assert '<meta name="viewport" content="width=device-width' in answer.text
    assert "prefers-color-scheme: dark" in answer.text
    references = References(answer.text)
    assert all(re.fullmatch(r"[a-z]+\.html(\?\S*)?", target) for target in references.found), references.found
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(references.tags)
    assert references.handlers == []
    assert "@import" not in answer.text
    assert "url(" not in answer.text


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_in_the_language_that_is_asked_for(name: str, http: httpx.Client) -> None:
    hangul = re.compile(r"[가-힣]")
    assert hangul.search(page(http, name, "ko").text)
    assert not hangul.search(page(http, name, "en-GB,en;q=0.9").text)
    assert page(http, name, "fr").text == page(http, name, "ko").text


@pytest.mark.parametrize("name", PAGES)
def test_nothing_runs_but_the_pages_own_script(name: str, http: httpx.Client, shop: Shop) -> None:
    answer = page(http, name)
    policy = {
        directive.split()[0]: directive.split()[1:]
        for directive in answer.headers["content-security-policy"].split(";")
    }
    for directive in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[directive] == ["'none'"]
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == [f"'sha256-{digest}'"]
    assert policy["connect-src"] == ["'self'", shop.platform.service_urls["payment"]]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_there_are_no_other_pages(nobody: Api, buyer: Api) -> None:
    for name in ("base.html", "nothing.html", "", "checkout", "checkout.html/"):
        nobody.refused(404, 1002, "GET", f"{WIDGET}/{name}")
    buyer.refused(404, 1002, "GET", f"{WIDGET}/base.html")
    nobody.refused(405, 1002, "POST", f"{WIDGET}/checkout.html")


def no_token_in(addresses: list[str], token: str) -> None:
    """The token, whole or in part, stands in none of the addresses."""
    for address in addresses:
        assert token not in address
        assert token.rpartition(".")[2] not in address


async def pay(tab: Tab, gateway_url: str, payment_id: int) -> None:
    """From the checkout to the success page."""
    await tab.open(f"{gateway_url}{WIDGET}/checkout.html?orderId={payment_id}&totalPrice={2 * PRICE}")
    await tab.until("!document.getElementById('pay').disabled")
    assert await tab.value("document.documentElement.scrollWidth <= innerWidth")
    assert "220,000" in await tab.value("document.getElementById('amount').textContent")
    await tab.value("document.getElementById('pay').click()")
    await tab.until("location.pathname.endsWith('success.html')")


@in_a_browser
@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_buyer_pays_in_a_browser(language: str, shop: Shop, buyer: Api, tmp_path: Path) -> None:
    ids = shop.book(buyer, 2)
    payment_id = shop.payment(buyer, ids)

    async def walk() -> None:
        async with browsing(tmp_path, language) as tab:
            await pay(tab, shop.platform.gateway_url, payment_id)
            # Nobody has logged in in this tab: the token is asked for, and a wrong one is asked for again.
            await tab.until("!document.getElementById('login').hidden")
            for token in ("nonsense", f"Bearer {buyer.token}"):
                await tab.value(f"document.getElementById('token').value = '{token}'")
                await tab.value("document.querySelector('#login button').click()")
                if token == "nonsense":
                    await tab.until("document.getElementById('status').className === 'bad'")
                    assert shop.payment_status(payment_id) == "WAITING"
            await tab.until("location.pathname.endsWith('confirm.html')")
            await tab.until("!document.getElementById('seats').parentElement.hidden")
            assert await tab.value("sessionStorage.length") == 1
            assert await tab.value("localStorage.length") == 0
            assert "220,000" in await tab.value("document.getElementById('amount').textContent")
            no_token_in([*tab.requested, await tab.value("location.href")], buyer.token)
            allowed = (shop.platform.gateway_url, shop.platform.service_urls["payment"])
            assert all(url.startswith(allowed) for url in tab.requested), tab.requested
            # The 401 for the wrong token is the only thing the browser has to say.
            assert all("401" in str(complaint) for complaint in tab.complaints), tab.complaints

    asyncio.run(walk())
    assert shop.payment_status(payment_id) == "COMPLETED"
    assert shop.bookings(ids) == ["CONFIRMED", "CONFIRMED"]


@in_a_browser
def test_a_buyer_who_has_logged_in_is_not_asked_and_doubts_are_waited_out(hasty: Shop, tmp_path: Path) -> None:
    buyer = hasty.make.person()
    ids = hasty.book(buyer, 2)
    payment_id = hasty.payment(buyer, ids)

    async def walk() -> None:
        async with browsing(tmp_path, "ko") as tab:
            gateway_url = hasty.platform.gateway_url
            await tab.open(f"{gateway_url}{WIDGET}/fail.html")
            await tab.value(f"sessionStorage.setItem('fortickets.token', '{buyer.token}')")
            order_id = f"{payment_id}_lost-browser"
            address = f"{gateway_url}{WIDGET}/checkout.html?orderId={order_id}&totalPrice={2 * PRICE}"
            await tab.open(address)
            await tab.value("document.getElementById('pay').click()")
            # The provider's first answer is lost: 503, and the page asks again by itself.
            await tab.until("location.pathname.endsWith('confirm.html')")
            completions = [url for url in tab.requested if url.endswith("/payments/complete")]
            assert len(completions) >= 2

    asyncio.run(walk())
    assert hasty.bookings(ids) == ["CONFIRMED", "CONFIRMED"]


@in_a_browser
def test_a_declined_card_ends_on_the_page_that_says_so(shop: Shop, buyer: Api, tmp_path: Path) -> None:
    ids = shop.book(buyer, 2)
    payment_id = shop.payment(buyer, ids)

    async def walk() -> dict[str, Any]:
        async with browsing(tmp_path, "en") as tab:
            gateway_url = shop.platform.gateway_url
            await tab.open(f"{gateway_url}{WIDGET}/fail.html")
            await tab.value(f"sessionStorage.setItem('fortickets.token', '{buyer.token}')")
            order_id = f"{payment_id}_decline-browser"
            await tab.open(f"{gateway_url}{WIDGET}/checkout.html?orderId={order_id}&totalPrice={2 * PRICE}")
            await tab.value("document.getElementById('pay').click()")
            await tab.until("location.pathname.endsWith('fail.html') && location.search")
            # The address changes before the page has been read.
            await tab.until("document.getElementById('reason')?.textContent.includes('declined')")
            return parse_qs(urlsplit(await tab.value("location.href")).query)

    shown = asyncio.run(walk())
    assert shown["code"] == ["4006"]
    assert shop.bookings(ids) == ["PENDING", "PENDING"]


@in_a_browser
def test_what_stands_in_an_address_is_text_and_nothing_else(shop: Shop, tmp_path: Path) -> None:
    evil = "%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D'hacked'%22%3E"

    async def walk() -> None:
        async with browsing(tmp_path, "en") as tab:
            base = f"{shop.platform.gateway_url}{WIDGET}"
            for query in (f"fail.html?code={evil}&message={evil}&orderId={evil}", f"confirm.html?orderId={evil}",
                          f"checkout.html?orderId={evil}&totalPrice={evil}",
                          f"success.html?paymentKey={evil}&orderId={evil}&amount=5"):  # fmt: skip
                await tab.call("Page.navigate", url=f"{base}/{query}")
                name = query.partition("?")[0]
                await tab.until(f"location.pathname.endsWith('{name}') && document.readyState === 'complete'")
                assert await tab.value("document.images.length") == 0
                assert "hacked" not in await tab.value("document.title")
            assert await tab.value("document.getElementById('order').textContent") != "–"

    asyncio.run(walk())
