"""The Locust process itself: when a load is over, and who is still waited for then."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.load.result import OK, LoadResult
from harness.stages.manifest import REPOSITORY
from scenarios.model import Shape
from scenarios.plan import LoadPlan

# Less than the load waits for whoever it waits for.
SLOW_SECONDS = 15.0


@dataclass
class Counter:
    """A server that answers at once at first, and later when that time has passed, or it is closed."""

    url: str = ""
    asked: int = 0
    answered: int = 0
    quick: int = 1_000_000
    closing: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def counter() -> Iterator[Counter]:
    found, lock = Counter(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                found.asked += 1
                waits = found.asked > found.quick
            if waits and found.closing.wait(SLOW_SECONDS):
                return
            with lock:
                found.answered += 1
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield found
        finally:
            found.closing.set()
            server.shutdown()
            serving.join()


def driven(plan: LoadPlan, folder: Path) -> LoadResult:
    """What came of a load that was driven to its end."""
    files = [folder / name for name in ("plan.json", "result.json", "samples.csv.gz")]
    plan.save(files[0])
    worker = [sys.executable, "-m", "harness.load.worker", *map(str, files)]
    done = subprocess.run(worker, cwd=REPOSITORY, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["measuring", "measured"]
    return LoadResult.load(files[1])


def plan(counter: Counter, shape: Shape, users: int, rate: float | None = None) -> LoadPlan:
    return LoadPlan(
        scenario="noop", host=counter.url, shape=shape, users=users, rate=rate, warm_up_seconds=0.0, seconds=1.0,
        seed=1, tokens=["token"], data={"bytes": 2},
    )  # fmt: skip


def test_an_open_load_ends_when_what_was_due_is_answered(counter: Counter, tmp_path: Path) -> None:
    """Each client's next turn would come five seconds later, and be taken if anybody waited for it."""
    result = driven(plan(counter, "open", users=50, rate=10.0), tmp_path)
    assert result.outcomes.keys() == {OK}
    assert result.succeeded <= counter.answered < 50


def test_who_reads_leaves_with_the_window(counter: Counter, tmp_path: Path) -> None:
    """The server would answer the last eight at length."""
    counter.quick = 20
    result = driven(plan(counter, "closed", users=8), tmp_path)
    assert result.outcomes.keys() <= {OK}  # some may have been answered before the window
    assert (counter.asked, counter.answered) == (28, 20)
