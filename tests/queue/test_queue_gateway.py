"""Who passes and who waits, and what a ticket is good for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from common.identity import Role
from tests import plain
from tests.contract.client import Api, outcome
from tests.contract.ordering import BOOKINGS, metric
from tests.polling import until
from tests.queue.line import WINDOW, Line


@pytest.fixture
def crowded(line: Line) -> Iterator[Line]:
    """Somebody waits, and nobody is served."""
    assert until(line.is_calm)
    with line.paused("dispatcher"):
        line.join(line.wish(line.shop.seats()))
        yield line
    assert until(line.finished)


def ask(line: Line, user: Api, **headers: str) -> httpx.Response:
    body = line.shop.request(user, line.shop.seats())
    return user.send("POST", BOOKINGS, json=body, headers={name.replace("_", "-"): headers[name] for name in headers})


def ticket(line: Line, user: Api) -> httpx.Response:
    answer = ask(line, user)
    assert answer.status_code == 202, answer.text
    return answer


def test_while_nobody_waits_requests_pass(line: Line) -> None:
    assert until(line.is_calm)
    user = line.shop.make.person()
    assert ask(line, user).status_code == 200


def test_while_somebody_waits_newcomers_get_tickets(crowded: Line) -> None:
    user = crowded.shop.make.person()
    answer = ticket(crowded, user)
    data = answer.json()["data"]
    assert answer.headers["x-random-uuid"] == data["ticketId"]
    assert answer.headers["x-ticket-number"] == str(data["ticketNumber"])
    assert answer.headers["location"] == f"/monitor/tickets/{data['ticketId']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert data["position"] >= 1
    assert user.get(answer.headers["location"])["status"] in ("WAITING", "PROCESSING")


def test_a_ticket_ends_and_its_owner_can_read_how(line: Line) -> None:
    assert until(line.is_calm)
    user = line.shop.make.person()
    with line.paused("dispatcher"):
        line.join(line.wish(line.shop.seats()))
        path = ticket(line, user).headers["location"]
    assert until(lambda: user.get(path)["status"] == "DONE")
    assert user.get(path)["result"]["body"]["data"][0]["userId"] == user.user_id
    events = user.send("GET", f"{path}/events").text
    assert events.startswith("id: ended\ndata: ")
    assert user.send("GET", f"{path}/events", headers={"last-event-id": "ended"}).status_code == 204
    count = f"/monitor/waiting-count/{path.rpartition('/')[2]}"
    assert until(lambda: user.send("GET", count).text == "UUID not found in the waiting queue.")
    # Outcomes are not kept for ever; then nobody is told that they have left, or may come to another one.
    query = "DELETE FROM tickets WHERE ticket_id = %s RETURNING user_id"
    assert line.shop.make.rows("order", query, path.rpartition("/")[2]) == [{"user_id": user.user_id}]
    user.refused(404, 5003, "DELETE", path)
    user.refused(404, 5003, "GET", path)


def test_the_further_from_the_front_the_later_to_come_back(crowded: Line) -> None:
    user = crowded.shop.make.person()
    near = ticket(crowded, user)
    crowded.join(*(crowded.wish(crowded.shop.seats(), user=user) for _ in range(1_000)))
    assert until(lambda: _position(ticket(crowded, user)) > 1_000)
    far = ticket(crowded, user)
    told = user.send("GET", far.headers["location"])
    assert told.json()["data"]["status"] == "WAITING"
    etas = [answer.json()["data"]["etaSeconds"] for answer in (near, far, told)]
    assert 1 <= etas[0] < etas[1] <= etas[2], "while nobody is served, it takes longer and longer"
    assert [int(answer.headers["retry-after"]) for answer in (near, far, told)] == [
        max(1, min(30, eta // 2)) for eta in etas
    ]


def _position(queued: httpx.Response) -> int:
    return int(queued.json()["data"]["position"])


def test_who_watches_sees_the_line_move_to_the_end(line: Line) -> None:
    assert until(line.is_calm)
    user = line.shop.make.person()
    with line.paused("dispatcher"):
        line.join(*(line.wish(line.shop.seats(), user=user) for _ in range(3 * WINDOW)))
        path = ticket(line, user).headers["location"]
        with user.http.stream("GET", f"{path}/events", headers={"authorization": f"Bearer {user.token}"}) as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            lines = stream.iter_lines()
            first = [next(lines) for _ in range(3)]
            assert first[0] == f"id: WAITING-{3 * WINDOW}"
            assert json.loads(first[1].removeprefix("data: "))["position"] == 3 * WINDOW
            line.process("dispatcher").resume()
            told = [json.loads(text.removeprefix("data: ")) for text in lines if text.startswith("data: ")]
    positions = [place["position"] for place in told]
    assert positions == sorted(positions, reverse=True)
    assert [place["status"] for place in told].count("DONE") == 1
    assert told[-1]["result"]["httpStatus"] == 200


def test_who_comes_back_is_not_told_again_what_they_know(crowded: Line) -> None:
    user = crowded.shop.make.person()
    path = ticket(crowded, user).headers["location"]
    headers = {"authorization": f"Bearer {user.token}"}
    with user.http.stream("GET", f"{path}/events", headers=headers) as stream:
        known = next(stream.iter_lines()).removeprefix("id: ")
    headers["last-event-id"] = known
    with (
        user.http.stream("GET", f"{path}/events", headers=headers, timeout=1.0) as stream,
        pytest.raises(httpx.ReadTimeout),
    ):
        next(stream.iter_lines())


@pytest.mark.parametrize("header", ["x-resend-request", "x-ticket-number", "x-replay-token"])
def test_a_forged_header_skips_no_line(header: str, crowded: Line) -> None:
    user, base = crowded.shop.make.person(), crowded.running.gateway_url
    before = metric(base, "gateway_forged_replays_total")
    assert ask(crowded, user, **{header: "1"}).status_code == 202
    assert metric(base, "gateway_forged_replays_total") == before + 1


def test_a_ticket_is_its_owners_alone(crowded: Line) -> None:
    owner, other = crowded.shop.make.person(), crowded.shop.make.person()
    answer = ticket(crowded, owner)
    path = answer.headers["location"]
    crowded.shop.make.http.cookies.clear()
    base = crowded.running.gateway_url

    def refusals(reason: str) -> float:
        return metric(base, f'gateway_refused_tickets_total{{reason="{reason}"}}')

    before = {reason: refusals(reason) for reason in ("forged", "not theirs", "cookie")}
    other.refused(404, 5003, "GET", path)
    other.refused(404, 5003, "DELETE", path)
    assert refusals("not theirs") == before["not theirs"] + 2
    owner.refused(404, 5003, "GET", path[:-1] + ("A" if path[-1] != "A" else "B"))
    assert refusals("forged") == before["forged"] + 1
    assert plain.get(base + path).status_code == 401
    assert plain.get(base + path, cookies={"ticket": answer.cookies["ticket"]}).status_code == 200
    # An id, which is no secret, makes no cookie.
    assert plain.get(base + path, cookies={"ticket": path.rpartition("/")[2]}).status_code == 401
    assert refusals("cookie") == before["cookie"] + 1


def test_the_cookie_is_found_among_others(crowded: Line) -> None:
    answer = ticket(crowded, crowded.shop.make.person())
    crowded.shop.make.http.cookies.clear()
    url = crowded.running.gateway_url + answer.headers["location"]
    for others in ('prefs={"a":1,"b":2}; {}; x', "abc; {}", "{}; a b; c", "nickname=\xed\x95\x9c; {}"):
        header = others.replace("{}", f"ticket={answer.cookies['ticket']}").encode("latin-1")
        assert plain.get(url, headers=[(b"cookie", header)]).status_code == 200, others


def test_the_cookie_is_secure_where_the_browser_came_by_tls(crowded: Line) -> None:
    plain, secure = (ask(crowded, crowded.shop.make.person(), x_forwarded_proto=name) for name in ("http", "https"))
    attributes = "; Path=/monitor; HttpOnly; SameSite=Strict"
    assert plain.headers["set-cookie"].endswith(attributes)
    assert secure.headers["set-cookie"].endswith(attributes + "; Secure")


def test_a_query_changes_nothing_of_a_booking(crowded: Line) -> None:
    user = crowded.shop.make.person()
    wanted = crowded.shop.request(user, crowded.shop.seats())
    first = user.send("POST", f"{BOOKINGS}?from=app", json=wanted)
    rival = crowded.shop.make.person()
    second = rival.send("POST", BOOKINGS, json={**wanted, "userId": rival.user_id})
    assert (first.status_code, second.status_code) == (202, 202)
    crowded.process("dispatcher").resume()
    assert until(lambda: user.get(first.headers["location"])["status"] == "DONE")
    assert user.get(first.headers["location"])["result"]["httpStatus"] == 200
    assert until(lambda: rival.get(second.headers["location"])["status"] == "DONE")
    assert rival.get(second.headers["location"])["result"]["body"]["code"] == 4000


def test_a_key_that_cannot_be_handed_on_is_refused_at_once(crowded: Line) -> None:
    user = crowded.shop.make.person()
    headers = {b"authorization": f"Bearer {user.token}".encode(), b"idempotency-key": b"\xff\xfe"}
    body = crowded.shop.request(user, crowded.shop.seats())
    answer = plain.post(crowded.running.gateway_url + BOOKINGS, json=body, headers=headers)
    assert outcome(answer) == (400, 1001)


def test_a_key_that_was_queued_yields_its_ticket(crowded: Line) -> None:
    user = crowded.shop.make.person()
    body = crowded.shop.request(user, crowded.shop.seats())
    key = {"idempotency-key": "one"}
    first, again = (user.send("POST", BOOKINGS, json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["x-random-uuid"] == again.headers["x-random-uuid"]
    other = user.send("POST", BOOKINGS, json={**body, "seat": crowded.shop.seats()}, headers=key)
    assert other.headers["x-random-uuid"] != first.headers["x-random-uuid"]


def test_another_route_may_wait_by_configuration(line: Line) -> None:
    assert until(line.is_calm)
    owner, other = line.shop.make.person(), line.shop.make.person()
    booking = ask(line, owner).json()["data"][0]
    path = f"{BOOKINGS}/cancel/{booking['id']}"
    with line.paused("dispatcher"):
        line.join(line.wish(line.shop.seats()))
        ticket(line, other)
        stranger, mine = (user.send("PATCH", path) for user in (other, owner))
        assert (stranger.status_code, mine.status_code) == (202, 202)
    assert until(lambda: owner.get(mine.headers["location"])["status"] == "DONE")
    results = [user.get(answer.headers["location"])["result"] for user, answer in ((other, stranger), (owner, mine))]
    assert [(result["httpStatus"], result["body"]["code"]) for result in results] == [(403, 1000), (200, 0)]


def test_whoever_leaves_the_line_is_not_served(line: Line) -> None:
    assert until(line.is_calm)
    user = line.shop.make.person()
    with line.paused("dispatcher"):
        line.join(line.wish(line.shop.seats()))
        path = ticket(line, user).headers["location"]
        assert user.delete(path)["status"] == "ABANDONED"
        assert user.get(path)["status"] == "ABANDONED"
    assert until(line.finished)
    assert user.get(path)["status"] == "ABANDONED"
    query = "SELECT count(*) AS bookings FROM bookings WHERE user_id = %s"
    assert line.shop.make.rows("order", query, user.user_id)[0]["bookings"] == 0


def test_the_monitor_says_how_it_stands(crowded: Line) -> None:
    user = crowded.shop.make.person()
    data = ticket(crowded, user).json()["data"]
    base = crowded.running.gateway_url + "/monitor"

    def text(path: str) -> str:
        return plain.get(f"{base}/{path}").raise_for_status().text

    assert text("current-count").isdigit()
    assert text("currentOffset").startswith("현재 소비된 offset은")
    assert text(f"uuidOffset/{data['ticketId']}") == f"이 uuid의 offset은{data['ticketNumber']}"
    # The one who waits in front; those before, whose tickets had just ended, may still have counted at first.
    assert until(lambda: text(f"waiting-count/{data['ticketId']}") == "남은 대기자 수는: 1 명 입니다.")
    assert text("waiting-count/none") == "UUID not found in the waiting queue."
    user.refused(403, 1000, "GET", "/monitor/reset-count")
    manager = crowded.shop.make.person(Role.MANAGER)
    assert manager.send("GET", "/monitor/reset-count").text.startswith("현재 처리 중인 요청 수는: ")
    user.refused(404, 1002, "GET", "/monitor/nothing")
    crowded.shop.make.http.cookies.clear()
    for path in ("nothing", "tickets", "reset-count"):
        assert plain.get(f"{base}/{path}").status_code == 401
    user.refused(405, 1002, "POST", "/monitor/current-count")


def test_what_services_tell_each_other_is_closed(line: Line) -> None:
    user = line.shop.make.person()
    for path in ("/order-service/bookings/batch", "/order-service/tickets"):
        user.refused(403, 1000, "POST", path, json=[])
