"""The waiting page: drawn by the server, and kept up to date by a script where there is one."""

from __future__ import annotations

import asyncio
import os
import re
from base64 import b64decode
from pathlib import Path

import httpx
import pytest

from tests import plain
from tests.contract.chromium import browsing, executable
from tests.contract.ordering import BOOKINGS
from tests.polling import until
from tests.queue.line import WINDOW, Line

in_a_browser = pytest.mark.skipif(executable() is None, reason="this machine has no Chromium")


def page(line: Line, language: str, **cookies: str) -> httpx.Response:
    url = line.running.gateway_url + "/waiting-queue"
    headers = {"accept-language": language}
    return plain.get(url, headers=headers, cookies=cookies, follow_redirects=True)


@pytest.mark.parametrize(("language", "words"), [("ko", "대기표가 없습니다"), ("en", "You have no ticket here")])
def test_without_a_ticket_it_says_so(language: str, words: str, line: Line) -> None:
    answer = page(line, language)
    assert answer.status_code == 200
    assert words in answer.text
    assert words in page(line, language, ticket="forged").text
    assert f'<html lang="{language}">' in answer.text
    assert "prefers-color-scheme: dark" in answer.text
    assert not any(tag in answer.text for tag in ("<link", "<img", "<iframe", "url(", "@import"))


def test_without_a_script_it_refreshes_until_the_result(line: Line) -> None:
    assert until(line.is_calm)
    user = line.shop.make.person()
    with line.paused("dispatcher"):
        line.join(*(line.wish(line.shop.seats(), user=user) for _ in range(2 * WINDOW)))
        answer = user.send("POST", BOOKINGS, json=line.shop.request(user, line.shop.seats()))
        waiting = page(line, "en", ticket=answer.cookies["ticket"]).text
        assert re.search(r"<h1[^>]*>You are in line</h1>", waiting)
        assert re.search(r'<div id="line">', waiting), "the place is shown"
        assert re.search(rf'<p id="status"[^>]*>{2 * WINDOW} people are ahead of you', waiting)
        assert '<noscript><meta http-equiv="refresh"' in waiting
    assert until(lambda: "Your seats are held" in page(line, "en", ticket=answer.cookies["ticket"]).text)


@in_a_browser
@pytest.mark.parametrize(("language", "scheme"), [("ko", "light"), ("en", "dark")])
def test_a_browser_shows_the_place_and_then_the_result(language: str, scheme: str, line: Line, tmp_path: Path) -> None:
    assert until(line.is_calm)
    user = line.shop.make.person()
    base = line.running.gateway_url

    async def walk() -> None:
        async with browsing(tmp_path, language) as tab:
            await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

            async def picture(name: str) -> None:
                if folder := os.environ.get("WAITING_PAGE_PICTURES"):
                    shot = await tab.call("Page.captureScreenshot")
                    (Path(folder) / f"waiting-{name}-{language}.png").write_bytes(b64decode(shot["data"]))

            with line.paused("dispatcher"):
                wishes = [line.wish(line.shop.seats(), user=user) for _ in range(2 * WINDOW)]
                await asyncio.to_thread(line.join, *wishes)
                answer = user.send("POST", BOOKINGS, json=line.shop.request(user, line.shop.seats()))
                assert answer.status_code == 202, answer.text
                await tab.call(
                    "Network.setCookie", name="ticket", value=answer.cookies["ticket"], url=base, path="/monitor",
                    httpOnly=True, sameSite="Strict",
                )  # fmt: skip
                await tab.open(f"{base}/monitor/waiting-queue")
                await tab.until("!document.getElementById('leave').hidden")
                assert int(await tab.value("document.getElementById('ahead').textContent")) == 2 * WINDOW
                assert await tab.value("document.getElementById('ahead').offsetHeight > 0"), "the place is shown"
                heading = {"ko": "예매 순서를 기다리고 있습니다", "en": "You are in line"}[language]
                assert await tab.value("document.getElementById('heading').textContent") == heading
                await tab.reload()
                await tab.until("!document.getElementById('leave').hidden")
                assert int(await tab.value("document.getElementById('ahead').textContent")) == 2 * WINDOW
                assert await tab.value("document.documentElement.scrollWidth <= innerWidth")
                await picture("line")
            await tab.until("document.getElementById('pay') && !document.getElementById('pay').hidden")
            await picture("result")
            await tab.value(f"document.getElementById('token').value = '{user.token}'")
            await tab.value("document.querySelector('#pay button').click()")
            await tab.until("location.pathname.endsWith('/widget/checkout.html')")
            await tab.until("!document.getElementById('pay').disabled")
            assert user.token not in await tab.value("location.href")
            assert all(url.startswith(base) for url in tab.requested), tab.requested
            assert tab.complaints == []

    asyncio.run(walk())
