"""What cannot be done goes to the dead letters, and keeps nobody waiting; replayed, it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.__main__ import main
from tests.async_cancel.broker import Message
from tests.async_cancel.stage_hall import CANCELLATIONS, GROUP, Hall
from tests.contract.ordering import PRICE
from tests.polling import until

Harness = Callable[..., "Said"]


@dataclass(frozen=True)
class Said:
    """What a command has ended with, and what it has written."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def dead_letters(hall: Hall, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Harness:
    """The command line, told of the running stage by a file; in this process, as most of it would be imports."""
    file = tmp_path / "up.json"
    kafka = {"bootstrap": hall.broker.bootstrap, "prefix": hall.broker.prefix}
    file.write_text(json.dumps({"stage": hall.running.stage.id, "kafka": kafka}))

    def run(*words: str) -> Said:
        capsys.readouterr()
        return Said(main(["dead-letters", *words, "--up", str(file)]), *capsys.readouterr())

    return run


@pytest.fixture
def died(hall: Hall) -> Callable[[int], list[Message]]:
    """Waits for so many dead letters since the test began."""
    before = len(hall.dead_letters())

    def new(count: int) -> list[Message]:
        assert until(lambda: len(hall.dead_letters()) >= before + count)
        return hall.dead_letters()[before:]

    return new


NONSENSE: dict[str, tuple[bytes | None, str]] = {
    "no JSON": (b"\xff\x00 not json", "ValidationError"),
    "no value": (None, "ValidationError"),
    "another message": (b'{"type": "SeatReserved", "seat": "1 1"}', "ValidationError"),
    "a number too large": (b'{"bookingId": 99999999999999999999999}', ""),
    "an unknown booking": (b'{"bookingId": 987654321}', "NothingToRefund"),
    "half a character": (b'{"bookingId": "\\ud800"}', "ValidationError"),
    "as large as can be": (b"x" * 1_000_000, "ValidationError"),
}


def test_what_makes_no_sense_dies_at_once_and_the_consumer_goes_on(
    hall: Hall, died: Callable[[int], list[Message]]
) -> None:
    hall.broker.send(CANCELLATIONS, *(value for value, _ in NONSENSE.values()), headers={"request-id": b"sent-by-test"})
    (one,) = hall.buy(1)
    hall.accept(one)
    hall.settled([one])
    letters = {letter.value: letter for letter in died(len(NONSENSE))}
    assert letters.keys() == {value for value, _ in NONSENSE.values()}
    for value, reason in NONSENSE.values():
        headers = letters[value].headers
        assert headers["reason"].decode().startswith(reason)
        assert headers["request-id"] == b"sent-by-test"
        assert int(headers["attempts"]) <= 1
        assert letters[value].key == b"test"
    assert until(hall.finished)


def test_a_message_without_a_request_id_gets_one(hall: Hall, died: Callable[[int], list[Message]]) -> None:
    hall.broker.send(CANCELLATIONS, b"{}")
    (letter,) = died(1)
    assert len(letter.headers["request-id"]) == 16


def test_a_refusal_dies_at_once_and_stays_in_sight(hall: Hall, died: Callable[[int], list[Message]]) -> None:
    """Somebody gave the money back by hand: nothing that waiting mends, and not our refund."""
    (one,) = hall.buy(1)
    path = f"/v1/payments/{one.checkout.payment_key}/cancel"
    assert hall.shop.provider.post(path, json={"cancelReason": "by hand"}).status_code == 200
    hall.accept(one)
    (letter,) = died(1)
    assert json.loads(letter.value or b"") == {"bookingId": one.booking_id}
    assert letter.headers["reason"] == b"RefundRefused: payment provider: ALREADY_CANCELED_PAYMENT"
    assert letter.headers["attempts"] == b"1"
    (row,) = hall.rows("SELECT request_id FROM outbox WHERE key = %s", str(one.booking_id))
    assert letter.headers["request-id"] == row["request_id"].encode()
    assert hall.statuses([one]) == ["CANCEL_REQUESTED"]
    assert hall.refunded(one) == [PRICE]


def test_one_that_fails_holds_up_nobody(hall: Hall) -> None:
    """Neither other partitions, nor what stands behind it in its own; no offset behind it is committed."""
    (failing,) = hall.buy(1, "canceldown-")
    others = hall.buy(12)
    hall.accept(failing)
    tried = "SELECT attempts FROM refunds WHERE booking_id = %s AND attempts > 0"
    assert until(lambda: hall.rows(tried, failing.booking_id) != [])
    hall.accept(*others)
    hall.settled(others, 10)
    (message,) = (
        one for one in hall.broker.messages(CANCELLATIONS) if one.key == str(failing.booking_id).encode()
    )  # fmt: skip
    behind = hall.broker.ends(CANCELLATIONS)[message.partition]
    assert behind > message.offset + 1, "some of the others are behind it in its partition"
    committed = hall.broker.committed(GROUP)
    assert committed.get(message.partition, 0) == message.offset
    assert hall.statuses([failing]) == ["CANCEL_REQUESTED"]


def test_after_the_last_attempt_it_dies_and_replayed_it_is_done(
    hall: Hall, died: Callable[[int], list[Message]], dead_letters: Harness
) -> None:
    (one,) = hall.buy(1)
    hall.canceller.terminate()  # in order: the group need not wait until it is missed
    try:
        with hall.shop.provider_faults(cancelDown=True), hall.one_more("canceller", ORDER_REFUND_ATTEMPTS="2"):
            hall.accept(one)
            # Of the failing one of the test before, too, as its offset was not committed.
            assert until(lambda: any(_is_about(letter, one.booking_id) for letter in hall.dead_letters()))
    finally:
        hall.canceller.respawn()
    letter = next(letter for letter in hall.dead_letters() if _is_about(letter, one.booking_id))
    assert letter.headers["attempts"] == b"2"
    assert letter.headers["reason"].startswith(b"ServiceUnavailable: payment provider: HTTP 500")
    assert hall.statuses([one]) == ["CANCEL_REQUESTED"]
    number = f"0/{letter.offset}"

    listed = _rows(dead_letters("list"))
    assert listed[number][:3] == [str(one.booking_id), "2", "0"]
    shown = dead_letters("show", str(letter.offset)).stdout
    for part in (number, f'"bookingId" : {one.booking_id}', "HTTP 500", letter.headers["request-id"].decode()):
        assert part in shown

    replayed = dead_letters("replay", number)
    assert (replayed.returncode, replayed.stdout) == (0, f"Replayed: {number}\n"), replayed.stderr
    hall.settled([one])
    again = [message for message in hall.broker.messages(CANCELLATIONS) if message.value == letter.value]
    assert [set(message.headers) for message in again] == [{"request-id"}] * 2
    assert len({message.headers["request-id"] for message in again}) == 1

    assert _rows(dead_letters("list"))[number][2] == "1"
    twice = dead_letters("replay", number)
    assert twice.returncode == 2
    assert twice.stderr == f"error: {number} has been replayed before.\nhint: Add --again to replay it once more.\n"
    assert dead_letters("replay", number, "--again").returncode == 0
    assert _rows(dead_letters("list"))[number][2] == "2"
    assert until(hall.finished)
    hall.settled([one])


def test_all_are_replayed_that_have_not_been(hall: Hall, dead_letters: Harness) -> None:
    hall.broker.send(CANCELLATIONS, b"{}", b"[]")
    assert until(lambda: {b"{}", b"[]"} <= {letter.value for letter in hall.dead_letters()})
    # Somebody has settled by hand what the provider would not do: replayed, it is found to be done.
    hall.rows("UPDATE refunds SET status = 'DONE' WHERE status = 'REQUESTED' RETURNING id")
    left = [name for name, cells in _rows(dead_letters("list")).items() if cells[2] == "0"]
    assert len(left) >= 2
    replayed = dead_letters("replay", "--all")
    assert replayed.stdout == f"Replayed: {', '.join(left)}\n"
    # Those that make no sense have died again since, as new letters.
    assert until(hall.finished)
    rows = _rows(dead_letters("list"))
    assert [rows[name][2] for name in left] == ["1"] * len(left)
    assert len(rows) > len(left)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["show", "four"], "'four' is no dead letter's id.", "Ids look like 0/4"),
        (["show", "123456"], "There is no dead letter 0/123456.", "There are: "),
        (["replay"], "Which letters are not said.", "--all"),
        (["replay", "1", "--all"], "Which letters are not said.", "--all"),
        (["list", "--kafka", "127.0.0.1:1"], "Which stage is not said.", "--prefix"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    words: list[str], error: str, hint: str, dead_letters: Harness
) -> None:
    answer = dead_letters(*words)
    assert answer.returncode == 2
    assert answer.stdout == ""
    first, second = answer.stderr.splitlines()
    assert first == f"error: {error}"
    assert second.startswith("hint: ")
    assert hint in second


def _is_about(letter: Message, booking_id: int) -> bool:
    try:
        body: Any = json.loads(letter.value or b"")
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("bookingId") == booking_id


def _rows(listed: Said) -> dict[str, list[str]]:
    """The table's id to its other columns."""
    assert listed.returncode == 0, listed.stderr
    title, *lines = listed.stdout.splitlines()
    assert title.split()[:4] == ["id", "booking", "attempts", "replays"]
    return {line.split()[0]: line.split()[1:] for line in lines}
