"""Which language an ``Accept-Language`` value (RFC 9110, 12.5.4) gets."""

from __future__ import annotations

from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.language import Language, current_language, negotiate, use_language


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("ko", Language.KOREAN),
        ("en", Language.ENGLISH),
        ("EN", Language.ENGLISH),
        ("en-US", Language.ENGLISH),
        ("en-US,en;q=0.9", Language.ENGLISH),
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", Language.KOREAN),
        ("en-US,en;q=0.9,ko;q=0.8", Language.ENGLISH),
        ("en;q=0.8, ko;q=0.9", Language.KOREAN),
        ("ko;q=0.8, en;q=0.9", Language.ENGLISH),
        ("fr, de;q=0.9, en;q=0.1", Language.ENGLISH),
        ("  en ; q=0.5 ", Language.ENGLISH),
        ("en;Q=0.5", Language.ENGLISH),
        ("ko;q=0.5,en;q=0.5", Language.KOREAN),
        ("en;q=0.5,ko;q=0.5", Language.ENGLISH),
        ("en;q=0", Language.KOREAN),
        ("ko;q=0, en;q=0.1", Language.ENGLISH),
        ("en;q=0.000", Language.KOREAN),
    ],
)
def test_the_preferred_of_the_two_is_chosen(header: str, expected: Language) -> None:
    assert negotiate(header) is expected


@pytest.mark.parametrize(
    "header", ["", "fr", "*", "english", "ena", ";", ",,,", "en;q=", "en;q=abc", "en;level=1;q", "\x00"]
)
def test_what_is_neither_or_cannot_be_read_is_korean(header: str) -> None:
    assert negotiate(header) is Language.KOREAN


@given(st.text(alphabet=st.characters(max_codepoint=255)) | st.text(alphabet="enko-;q=.,* 019_+e\t"))
def test_no_value_that_a_header_can_hold_raises(header: str) -> None:
    assert negotiate(header) in Language


def test_a_request_without_the_header_does_not_inherit_the_language_of_another() -> None:
    def two_requests() -> list[Language]:
        use_language("en")
        first = current_language()
        use_language("")
        return [first, current_language()]

    assert copy_context().run(two_requests) == [Language.ENGLISH, Language.KOREAN]


def test_outside_of_a_request_the_language_is_korean() -> None:
    assert copy_context().run(current_language) is Language.KOREAN
