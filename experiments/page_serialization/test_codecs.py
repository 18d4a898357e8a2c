"""Each codec gives back what it was given, and the codecs mean the same."""

from __future__ import annotations

import json
import pickle
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.paging import Page, PageRequest
from experiments.page_serialization import pages
from experiments.page_serialization.codecs import CODECS, GenericJson, Pickle, PydanticJson, TypedEntry
from experiments.page_serialization.stage import ConcertView

EVERY = list(CODECS)
TYPED = [name for name in EVERY if name != GenericJson.name]

_INT64 = st.integers(-(2**63), 2**63 - 1)
_TEXT = st.text(max_size=50)
# By the names on the wire, which are those of the constructor's signature: hypothesis makes up what it misses there.
_CONCERTS = st.builds(
    ConcertView,
    id=_INT64,
    userId=_INT64,
    concertName=_TEXT,
    runtime=_INT64,
    startDate=st.dates(),
    endDate=st.dates(),
    price=_INT64,
    concertImage=_TEXT,
)
_PAGES = st.builds(
    Page[ConcertView].of,
    st.lists(_CONCERTS, max_size=5),
    st.builds(PageRequest, page=st.integers(0, 2**31 - 1), size=st.integers(1, 100)),
    _INT64,
)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=30, deadline=None)
@given(page=_PAGES)
def test_what_is_read_is_what_was_written(name: str, page: Page[ConcertView]) -> None:
    codec = CODECS[name]
    own = codec.own(page)
    read = codec.decode(codec.encode(own))
    assert type(read) is type(own)
    assert read == own


@pytest.mark.parametrize("name", TYPED)
def test_a_typed_page_has_typed_elements(name: str) -> None:
    codec = CODECS[name]
    read = codec.decode(codec.encode(codec.own(pages.concerts(20))))
    assert read.content[0].start_date == date(2027, 3, 2)
    assert read.total_elements == pages.TOTAL


def test_an_untyped_page_has_no_types() -> None:
    codec = CODECS[GenericJson.name]
    read: Any = codec.decode(codec.encode(codec.own(pages.concerts(20))))
    assert type(read) is dict
    assert type(read["content"][0]) is dict
    assert read["content"][0]["startDate"] == "2027-03-02"


@pytest.mark.parametrize("size", pages.SIZES)
@pytest.mark.parametrize("name", EVERY)
def test_a_hit_says_the_same_with_every_codec(name: str, size: int) -> None:
    page = pages.concerts(size)
    codec = CODECS[name]
    answer = codec.answer(codec.encode(codec.own(page)))
    # The clients' bytes do not change with the codec, but for the standard library's spaces and escapes.
    wire = page.model_dump_json(by_alias=True).encode()
    assert json.loads(answer) == json.loads(wire)
    assert name == GenericJson.name or answer == wire


def test_korean_is_larger_as_escapes() -> None:
    page = pages.concerts(20)
    names = [concert.concert_name for concert in page.content]
    korean = sum("가" <= letter <= "힣" for name in names for letter in name)
    escaped, plain = (
        len(json.dumps(names, ensure_ascii=ascii_only, separators=(",", ":")).encode()) for ascii_only in (True, False)
    )
    assert korean > 0
    assert escaped - plain == 3 * korean  # \uXXXX is six bytes, UTF-8 three


def test_the_typed_entry_costs_its_head() -> None:
    page = pages.concerts(20)
    entry, body = (CODECS[name].encode(page) for name in (TypedEntry.name, PydanticJson.name))
    assert entry.endswith(body)
    assert len(entry) - len(body) == 40


def test_pickle_cannot_write_a_page_whose_class_has_no_name() -> None:
    """Unlike ``ConcertPage``: a class made in a function is in no module, and pickle finds classes by their names."""

    class Nameless(ConcertView):
        """Not at the top of a module."""

    page = pages.concerts(1).showing(Nameless, [Nameless.model_construct(**pages.concerts(1).content[0].__dict__)])
    with pytest.raises((AttributeError, pickle.PicklingError), match="Can't pickle local object"):
        CODECS[Pickle.name].encode(page)
