"""The drain: it waits for the end of the line, reads every outcome as its owner, and knows when to give up."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from common.errors import SeatAlreadyBooked
from harness.load.result import ACCEPTED, OK, LoadResult
from harness.run import drain
from harness.run.drain import Drained
from harness.run.tickets import by_outcome, ends_of, ticket_tables
from scenarios.model import Attempt, CellState
from scenarios.tickets import DONE, Ticket, ticket_of

TOKENS = ["anna", "boris"]
_PATH = re.compile(r"/monitor/tickets/t(\d+)")


class Line(ThreadingHTTPServer):
    """A gateway that answers as one with a queue does; it serves one ticket at each look at the last."""

    daemon_threads = True

    def __init__(self, tickets: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.tickets, self.served, self.stands_still = tickets, 0, False
        self.looks: Counter[int] = Counter()
        self.lost: set[int] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def of(self, number: int, token: str) -> tuple[int, dict[str, Any]]:
        """What the owner of a ticket is told; even tickets are Anna's."""
        self.looks[number] += 1
        if token != f"Bearer {TOKENS[number % 2]}":
            return 404, {"code": 5003, "data": {}}
        if number == self.tickets - 1 and not self.stands_still:
            self.served += 1
        told: dict[str, Any] = {"ticketId": f"t{number}", "ticketNumber": number, "etaSeconds": 1, "result": None}
        if number >= self.served or number in self.lost:
            return 200, {"code": 0, "data": {**told, "status": "WAITING", "position": number - self.served}}
        body = {"code": SeatAlreadyBooked.code if number else 0, "message": "", "data": {}}
        result = {"httpStatus": 400 if number else 200, "body": body}
        return 200, {"code": 0, "data": {**told, "status": DONE, "position": 0, "result": result}}


class _Answering(BaseHTTPRequestHandler):
    server: Line
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = _PATH.fullmatch(self.path)
        assert found is not None, self.path
        status, envelope = self.server.of(int(found[1]), self.headers.get("Authorization", ""))
        body = json.dumps(envelope).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(drain, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(drain, "STALLED_SECONDS", 2.0)
    server = Line(tickets=6)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def handed_out(tickets: int) -> list[Attempt]:
    """What the clients remember: a direct answer, and tickets in no order."""
    direct = Attempt("POST", "/order-service/bookings", 0, "", {}, 1.0, 200, "{}", 2.0)
    queued = [
        Attempt(
            "POST", "/order-service/bookings", number % 2, f"key{number}", {}, 1.0, 202, "{}", 2.0,
            ticket_of({"X-Random-UUID": f"t{number}", "X-Ticket-Number": str(number),
                       "Location": f"/monitor/tickets/t{number}"}.get),
        )
        for number in reversed(range(tickets))
    ]  # fmt: skip
    return [direct, *queued]


def drained(line: Line, attempts: list[Attempt]) -> tuple[Drained, list[str]]:
    said: list[str] = []
    result = drain.wait_for_last(attempts, line.url, TOKENS, while_waiting=lambda: None, say=said.append)
    drain.read_all(attempts, line.url, TOKENS, while_waiting=lambda: None, say=said.append)
    return result, said


def test_every_ticket_is_read_when_the_last_has_ended(line: Line) -> None:
    attempts = handed_out(6)
    result, said = drained(line, attempts)
    tickets = [attempt.ticket for attempt in attempts if attempt.ticket]
    assert [ticket.state for ticket in tickets] == [DONE] * 6
    assert [attempt.final_status for attempt in attempts] == [200, 400, 400, 400, 400, 400, 200]
    assert [ahead for _, ahead in result.ahead] == [4, 3, 2, 1, 0]
    assert said[0] == "draining, 4 ahead of the last ticket"
    assert [ticket.number for ticket in tickets if ticket.ended_at] == [5], (
        "who was watched is known to have ended then"
    )
    assert not any(ticket.problems for ticket in tickets)
    assert min(line.looks.values()) >= 2, "an outcome is the same when it is read again"
    ends = ends_of(attempts, [SeatAlreadyBooked.code], result)
    assert (ends.handed_out, ends.ended, ends.counts) == (6, 6, {"success": 1, "refused": 5})
    course = result.course(measured_from=time.time() - 3.0)
    assert course is not None
    assert course.values[0] is None
    assert course.values[-1] == 0.0


def test_a_line_that_stands_still_is_given_up(line: Line) -> None:
    line.stands_still = True
    attempts = handed_out(6)
    began = time.monotonic()
    result, _ = drained(line, attempts)
    assert 2.0 <= result.seconds < 20.0
    assert time.monotonic() - began < 40.0
    assert ends_of(attempts, [], result).counts == {"no outcome": 6}


def test_a_ticket_that_is_lost_holds_up_no_other(line: Line) -> None:
    line.lost = {2}
    attempts = handed_out(6)
    result, _ = drained(line, attempts)
    assert ends_of(attempts, [SeatAlreadyBooked.code], result).counts == {"success": 1, "refused": 4, "no outcome": 1}


def test_a_stage_that_has_died_is_not_waited_for(line: Line) -> None:
    line.stands_still = True

    def died() -> None:
        raise RuntimeError("gateway ended")

    for step in (drain.wait_for_last, drain.read_all):
        with pytest.raises(RuntimeError, match="gateway ended"):
            step(handed_out(6), line.url, TOKENS, while_waiting=died, say=lambda sentence: None)


def test_a_ticket_counts_among_the_answers_by_what_came_of_it() -> None:
    def ticket(number: int, state: str, status: int = 0, code: int = 0) -> Attempt:
        attempt = handed_out(number + 1)[1]
        assert attempt.ticket is not None
        attempt.ticket.state, attempt.ticket.status = state, status
        attempt.ticket.body = json.dumps({"code": code})
        attempt.answered_at = 100.0 + number
        return attempt

    attempts = [
        ticket(0, ""),  # handed out before the measured part
        ticket(1, DONE, 200),
        ticket(2, DONE, 400, SeatAlreadyBooked.code),
        ticket(3, DONE, 400, 1001),
        ticket(4, "FAILED"),
        ticket(5, ""),
    ]
    load = LoadResult(10.0, {OK: 3, ACCEPTED: 5}, 1.0, 1.0, 1.0, 1.0, attempts=attempts)
    told = by_outcome(load, [SeatAlreadyBooked.code], since=101.0, until=111.0)
    assert told.outcomes == {
        OK: 3, ACCEPTED: 2, "ticket: DONE, HTTP 400": 1, "ticket: FAILED": 1, "ticket: no outcome": 1,
    }  # fmt: skip
    assert (told.accepted, told.failed, told.requests) == (5, 3, 8)
    ends = ends_of(attempts, [SeatAlreadyBooked.code], Drained(seconds=4.25))
    (table,) = ticket_tables([("booking", "05", "", 1, ends)])
    assert table.rows == [["05", "", 1, 6, 1, 1, 2, 2, 4.2]]


def test_what_names_no_ticket_is_none() -> None:
    headers = {"X-Random-UUID": "t1", "X-Ticket-Number": "7", "Location": "/monitor/tickets/t1"}
    assert ticket_of(headers.get) == Ticket("t1", 7, "/monitor/tickets/t1")
    for missing in headers:
        assert ticket_of({name: value for name, value in headers.items() if name != missing}.get) is None
    assert ticket_of({**headers, "X-Ticket-Number": "first"}.get) is None


def test_tickets_survive_the_way_from_the_load(tmp_path: Any) -> None:
    attempts = handed_out(2)
    result = LoadResult(1.0, {ACCEPTED: 2}, 1.0, 1.0, 1.0, 1.0, attempts=attempts)
    result.save(tmp_path / "result.json")
    loaded = LoadResult.load(tmp_path / "result.json")
    assert loaded == result
    state = CellState({}, None, "", [], tmp_path, attempts=loaded.attempts)  # type: ignore[arg-type]
    assert len(state.ticketed) == 2
