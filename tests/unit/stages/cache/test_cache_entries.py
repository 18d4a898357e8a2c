"""Entries say what they are: they read back as exactly that, and whatever is anything else is no hit."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_json

import concert
from common.paging import Page, PageRequest
from common.wire import WireModel
from concert.cache_entries import GENERATION_BYTES, Found, Kind
from concert.schemas import ConcertDetailView, ConcertView, ScheduleView
from tests.unit.stages.cache.values import KINDS, Old, shape, values

FOLDER = Path(str(concert.__file__)).parent
NAMES = sorted(KINDS)
PAGES: Kind[Page[ConcertView]] = Kind("page", Page[ConcertView], seconds=60)

GENERATION = bytes(range(GENERATION_BYTES))
DIGEST = PAGES.digest("key")

# Of the head of an entry: what a changed byte there makes of it.
MAGIC_AND_TYPE, KEY, WHEN, CHECKSUM = range(12), range(12, 28), range(28, 36), range(36, 40)

concert_views = values(ConcertView)
generations = st.binary(min_size=GENERATION_BYTES, max_size=GENERATION_BYTES)
keys = st.recursive(
    st.integers() | st.text() | st.none(), lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=6
)


def packed(body: bytes = b'{"id":1}') -> bytes:
    return PAGES.pack(DIGEST, GENERATION, body)


def found(entry: bytes | None) -> Found:
    """What an entry is to somebody who looks for this key in this generation; nothing but a hit has a body."""
    outcome, body = PAGES.unpack(DIGEST, GENERATION, entry)
    assert (outcome is Found.HIT) or body == b""
    return outcome


def test_every_kind_of_the_service_is_tried() -> None:
    assert NAMES == ["concert", "concert-page", "concert-search", "schedule", "seats"]


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
def test_a_value_reads_back_as_what_it_was(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    value = data.draw(values(shape(kind)))
    outcome, body = kind.unpack(DIGEST, GENERATION, kind.pack(DIGEST, GENERATION, kind.encode(value)))
    assert outcome is Found.HIT
    # The bytes that are served are those that the answer would have had without a cache.
    assert body == to_json(value, by_alias=True)
    again = kind.decode(body)
    assert_same(again, value)


def assert_same(again: Any, value: Any) -> None:
    """Equal, and of the same types all the way down: pydantic's ``==`` looks at the outermost class only."""
    assert type(again) is type(value)
    assert again == value
    if isinstance(value, list):
        for one, other in zip(again, value, strict=True):
            assert_same(one, other)
    elif isinstance(value, WireModel):
        assert again.__dict__.keys() == value.__dict__.keys()
        for name, content in value.__dict__.items():
            assert_same(again.__dict__[name], content)


@given(
    st.lists(concert_views, max_size=5),
    st.integers(0, 1000),
    st.integers(1, 100),
    st.integers(0, 10**6),
)
def test_a_page_reads_back_as_a_page_of_its_elements(
    content: list[ConcertView], number: int, size: int, total: int
) -> None:
    page = Page[ConcertView].of(content, PageRequest(page=number, size=size), total)
    again = PAGES.decode(PAGES.encode(page))
    assert_same(again, page)
    assert type(again) is Page[ConcertView]
    assert {type(element) for element in again.content} <= {ConcertView}
    assert (again.number, again.size, again.total_elements) == (number, size, total)
    assert (again.first, again.empty, again.number_of_elements) == (number == 0, not content, len(content))
    assert again.last is (number + 1 >= again.total_pages)


@given(generations, generations, keys, keys)
@example(b"changing", b"changing", (0, 20), (0, 20, "price"))
def test_only_this_key_in_this_generation_is_a_hit(then: bytes, now: bytes, stored: object, wanted: object) -> None:
    body = b"{}"
    entry = PAGES.pack(PAGES.digest(stored), then, body)
    expected = (Found.HIT, body) if then == now else (Found.OUTDATED, b"")
    assert PAGES.unpack(PAGES.digest(stored), now, entry) == expected
    if stored != wanted:
        assert PAGES.unpack(PAGES.digest(wanted), now, entry) == (Found.DISPLACED, b"")


@given(keys, keys)
@example(1, "1")
@example((1, "2"), ("1", 2))
@example("a', 'b", ("a", "b"))
@example((0, 20, "price,asc", "id"), (0, 20, "price", "asc,id"))
def test_a_digest_stands_for_one_key_of_one_kind(one: object, other: object) -> None:
    assert (PAGES.digest(one) == PAGES.digest(other)) == (one == other)
    assert PAGES.digest(one) != Kind("another", Page[ConcertView], seconds=60).digest(one)


def test_no_entry_is_a_miss() -> None:
    assert found(None) is Found.MISS


@given(st.binary(max_size=300), st.data())
def test_a_truncated_entry_is_unreadable(body: bytes, data: st.DataObject) -> None:
    entry = packed(body)
    cut = data.draw(st.integers(0, len(entry) - 1))
    assert found(entry[:cut]) is Found.UNREADABLE


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_flipped_bit_is_never_a_hit(body: bytes, data: st.DataObject) -> None:
    entry = bytearray(packed(body))
    place = data.draw(st.integers(0, len(entry) - 1))
    entry[place] ^= 1 << data.draw(st.integers(0, 7))
    if place in KEY:
        expected = Found.DISPLACED
    elif place in WHEN:
        expected = Found.OUTDATED
    else:  # magic, type, checksum, body
        expected = Found.UNREADABLE
    assert found(bytes(entry)) is expected


def test_each_single_bit_of_a_whole_entry_counts() -> None:
    entry = packed()
    outcomes = []
    for place in range(len(entry)):
        for bit in range(8):
            outcomes.append(found(entry[:place] + bytes([entry[place] ^ 1 << bit]) + entry[place + 1 :]))
    assert outcomes.count(Found.HIT) == 0
    assert outcomes.count(Found.DISPLACED) == 8 * len(KEY)
    assert outcomes.count(Found.OUTDATED) == 8 * len(WHEN)


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=20))
def test_what_is_added_to_an_entry_spoils_it(body: bytes, more: bytes) -> None:
    assert found(packed(body) + more) is Found.UNREADABLE


@given(st.binary(max_size=300))
@example(b"")
@example(b"\0" * 40)
@example(b"\0" * 200)
@example(pickle.dumps({"content": []}))
def test_anything_else_is_unreadable(entry: bytes) -> None:
    assert found(entry) is Found.UNREADABLE


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_of_another_kind_is_unreadable_even_under_this_key(name: str) -> None:
    kind = KINDS[name]
    for other in KINDS.values():
        entry = other.pack(DIGEST, GENERATION, b"{}")
        outcome, _ = kind.unpack(DIGEST, GENERATION, entry)
        assert outcome is (Found.HIT if other is kind else Found.UNREADABLE), other.name


def named(**fields: Any) -> type[WireModel]:
    return create_model("Old", __base__=WireModel, __module__=Old.__module__, **fields)


OTHER_VERSIONS: dict[str, type[Any]] = {
    "a field more": named(id=(int, ...), name=(str, ...), place=(str, ...)),
    "a field less": named(id=(int, ...)),
    "a field renamed": named(id=(int, ...), title=(str, ...)),
    "another type": named(id=(str, ...), name=(str, ...)),
    "other bounds": named(id=(int, ...), name=(date, ...)),
    "in a list": list[Old],
    "in a page": Page[Old],
    "another alias": create_model(
        "Old", __base__=(WireModel,), __module__=Old.__module__, id=(int, ...), name=(str, ...),
        __cls_kwargs__={"alias_generator": str.upper},
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_an_entry_of_another_version_of_the_type_is_unreadable(version: str) -> None:
    old, new = Kind("kind", Old, seconds=60), Kind("kind", OTHER_VERSIONS[version], seconds=60)
    assert old.unpack(DIGEST, GENERATION, old.pack(DIGEST, GENERATION, b"{}"))[0] is Found.HIT
    assert new.unpack(DIGEST, GENERATION, old.pack(DIGEST, GENERATION, b"{}"))[0] is Found.UNREADABLE


def test_two_processes_agree_on_what_an_entry_is() -> None:
    script = """
from concert.cache_entries import Kind
from concert.schemas import ConcertDetailView
kind = Kind("kind", list[ConcertDetailView], seconds=60)
print(kind.pack(kind.digest(("key", 1)), bytes(8), b"{}").hex())
"""
    path = os.pathsep.join([str(FOLDER.parent), str(Path.cwd())])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "12345"}
    told = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    ours = Kind("kind", list[ConcertDetailView], seconds=1)
    assert told.stdout.strip() == ours.pack(ours.digest(("key", 1)), bytes(8), b"{}").hex()


VIEW = ConcertView(
    id=1, user_id=2, concert_name="n", runtime=3, start_date=date(2031, 3, 1), end_date=date(2031, 3, 2), price=4,
    concert_image="",
)  # fmt: skip
SCHEDULE = ScheduleView(id=1, concert_id=2, stage_id=3, concert_date=date(2031, 3, 1), concert_time=time(19, 30))
FIRST = PageRequest()
PAGE = Page[ConcertView].of([VIEW], FIRST, 1)


def showing(**changes: Any) -> Page[ConcertView]:
    """The page with its only concert changed, unchecked."""
    return Page[ConcertView].of([VIEW.model_copy(update=changes)], FIRST, 1)


WRONG: dict[str, Any] = {
    "nothing": None,
    "an element": VIEW,
    "a list": [VIEW],
    "a mapping": {"content": [], "number": 0},
    "bytes": b'{"content":[]}',
    "a page of something else": Page[ScheduleView].of([SCHEDULE], FIRST, 1),
    "an element of something else": Page[Any].of([VIEW, SCHEDULE], FIRST, 2).model_copy(),
    "a page with another element": PAGE.model_copy(update={"content": [VIEW, SCHEDULE]}),
    "a page with a mapping": PAGE.model_copy(update={"content": [VIEW.model_dump()]}),
    "a page with a text for a number": PAGE.model_copy(update={"number": "0"}),
    "a page with nothing for a number": PAGE.model_copy(update={"total_pages": None}),
    "a concert with a number for a text": showing(concert_name=7),
    "a concert with a text for a date": showing(start_date="2031-03-01"),
    "a concert with nothing for a text": showing(concert_image=None),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_value_of_another_type_is_refused(wrong: str) -> None:
    with pytest.raises((PydanticSerializationError, ValidationError)):
        PAGES.encode(WRONG[wrong])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"{}", b'{"content":[{}]}', b"\xff\xfe", pickle.dumps([1]), b"[" * 5000]
)
def test_a_body_that_is_no_such_value_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        PAGES.decode(body)


class Bomb:
    """What a pickle in the cache would do to who reads it."""

    def __init__(self, act: Callable[..., object], *arguments: object) -> None:
        self.call = act, arguments

    def __reduce__(self) -> Any:
        return self.call


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    bomb = pickle.dumps(Bomb(os.mkdir, str(mark)))
    assert found(bomb) is Found.UNREADABLE
    with pytest.raises(ValidationError):
        PAGES.decode(bomb)
    assert not mark.exists()
    pickle.loads(bomb)
    assert mark.exists(), "the bomb must be able to go off"


def test_nothing_of_the_service_can_run_what_it_reads() -> None:
    dangerous = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle"}
    for source in FOLDER.rglob("*.py"):
        imported = {
            alias.name.partition(".")[0]
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in [*node.names, ast.alias(getattr(node, "module", None) or "")]
        }
        assert not imported & dangerous, source
