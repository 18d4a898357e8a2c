"""A headless Chromium, driven through the Chrome DevTools Protocol with what aiohttp offers."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 30.0
WAIT_SECONDS = 20.0

_ENDPOINT = re.compile(rb"DevTools listening on (ws://\S+)")


def executable() -> str | None:
    """The browser of this machine, if it has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


# What DevTools says to a command that another page came in between.
_REPLACED = ("Inspected target navigated or closed", "Cannot find context with specified id")


class PageReplacedError(Exception):
    """The page went away while it was asked something."""


class ScriptError(Exception):
    """The JavaScript expression raised an error on the page."""


class Tab:
    """One page; what it requested and what it complained of is kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []

    async def listen(self) -> None:
        """Takes in what the browser says, until the socket is closed."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            else:
                self.events.append(said)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one DevTools command."""
        self._calls += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._calls] = answer
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        said = await asyncio.wait_for(answer, WAIT_SECONDS)
        if said.get("error", {}).get("message") in _REPLACED:
            raise PageReplacedError
        assert "error" not in said, (method, said)
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str) -> None:
        """Goes to a page and waits until it has been loaded."""
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    async def reload(self) -> None:
        """Loads the page again and waits until it has been."""
        await self.value("window.isTheOldOne = true")
        await self.call("Page.reload")
        await self.until("!window.isTheOldOne && document.readyState === 'complete'")

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to on the page.

        Raises:
            ScriptError: it raised an error.
            PageReplacedError: another page came in between.
        """
        said = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in said:
            raise ScriptError(expression, said["exceptionDetails"])
        return said["result"].get("value")

    async def until(self, expression: str) -> None:
        """Waits until a JavaScript expression is true; the page may be replaced meanwhile."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not await self._holds(expression):
            assert time.monotonic() < deadline, (
                expression,
                await self.value("location.href + document.body.innerText"),
            )
            await asyncio.sleep(0.05)

    async def _holds(self, expression: str) -> bool:
        try:
            return bool(await self.value(f"Boolean({expression})"))
        except (PageReplacedError, ScriptError):
            # Such as an element that is not there yet.
            return False

    @property
    def requested(self) -> list[str]:
        """The address of every request."""
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[Any]:
        """Exceptions that were not caught, failed requests, and what the Content-Security-Policy forbade."""
        return [event["params"] for event in self.events if _is_complaint(event)]


def _is_complaint(event: dict[str, Any]) -> bool:
    if event["method"] == "Audits.issueAdded":
        return bool(event["params"]["issue"]["code"] == "ContentSecurityPolicyIssue")
    return event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")


@asynccontextmanager
async def browsing(profile: Path, language: str) -> AsyncIterator[Tab]:
    """A tab of a new browser at phone width, which is closed at the end of the block."""
    path = executable()
    assert path is not None
    process = await asyncio.create_subprocess_exec(
        path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", f"--accept-lang={language}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        address = (await asyncio.wait_for(_endpoint(process), START_SECONDS)).removeprefix("ws://").split("/")[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json") as answer:
                (target, *_) = [tab for tab in await answer.json() if tab["type"] == "page"]
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
                    await tab.call(f"{domain}.enable")
                await tab.call(
                    "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True
                )
                yield tab
                # A browser that is asked to close clears up after itself; one that is ended does not.
                await tab.call("Browser.close")
            await listening
            await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _endpoint(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        match = _ENDPOINT.search(line)
        if match:
            return match[1].decode()
    raise AssertionError("Chromium ended before it listened")
