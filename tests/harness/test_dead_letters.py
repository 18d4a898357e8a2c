"""``python -m harness dead-letters``: what it makes of records, and how it says no. On a stage: tests/async_cancel."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.__main__ import main
from harness.dead_letters.letters import Letter, Record, description, letters, table

NOW = datetime(2031, 3, 5, 12, tzinfo=UTC)


def record(offset: int, value: bytes | None, minutes: int = 0, **headers: bytes) -> Record:
    named = tuple((name.replace("_", "-"), content) for name, content in headers.items())
    return Record(0, offset, NOW - timedelta(minutes=minutes), b"17", value, named)


DIED = record(4, b'{"bookingId" : 17}', 90, reason=b"RefundRefused: no\nnever", attempts=b"3", request_id=b"abc")
STRANGE = record(5, b"\xff\x00", 1, reason=b"ValidationError", attempts=b"0", request_id=b"def")


def test_a_marker_is_no_letter_and_counts_as_a_replay() -> None:
    marker = record(6, None, replayed=b"0/4")
    found = letters([DIED, STRANGE, marker, record(7, None, replayed=b"0/4")])
    assert found == [Letter(DIED, 2), Letter(STRANGE, 0)]


def test_a_letter_is_one_line_of_the_table() -> None:
    assert table([Letter(DIED, 1), Letter(STRANGE)], NOW).splitlines() == [
        "id   booking  attempts  replays  age    request id  reason",
        "0/4  17       3         1        1 h    abc         RefundRefused: no never",
        "0/5  -        0         0        1 min  def         ValidationError",
    ]


@pytest.mark.parametrize("value", [b"[]", b'{"bookingId": "\\ud800"}', b'{"bookingId": null}', b"", None])
def test_a_message_that_cannot_be_read_is_about_no_booking(value: bytes | None) -> None:
    assert Letter(record(1, value)).booking == "-"
    table([Letter(record(1, value))]).encode()


def test_everything_is_shown_and_nothing_of_its_death_is_sent_again() -> None:
    shown = description(Letter(record(4, b"\xff", reason=b"why", attempts=b"3", request_id=b"abc", other=b"kept")))
    for part in ("0/4", "why", "abc", "b'\\xff'", "header other  kept", "17"):
        assert part in shown
    headers = Letter(record(4, b"", reason=b"why", attempts=b"3", request_id=b"abc", other=b"kept")).original_headers
    assert headers == [("request-id", b"abc"), ("other", b"kept")]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "cannot be read: No such file or directory."),
        ("", "is not JSON."),
        ("[]", "describes no running stage."),
        (json.dumps({"stage": "01_baseline"}), "01_baseline has no Kafka, and no dead letters."),
    ],
)
def test_a_file_that_names_no_stage_with_kafka(
    content: str | None, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "up.json"
    if content is not None:
        file.write_text(content)
    assert main(["dead-letters", "list", "--up", str(file)]) == 2
    first, hint = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert first.endswith(error)
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "--kafka", "127.0.0.1:1"),
        ("list", "--kafka", "nowhere"),
        ("list", "--kafka", "127.0.0.1:1", "--up", "up.json"),
        ("show", "4", "--up", "up.json", "--prefix", "ft"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead-letters", *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("error: ")
    assert said[1].startswith("hint: ")
