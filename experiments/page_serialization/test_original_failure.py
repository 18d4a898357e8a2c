"""The original's failure, and why neither class names in the data nor pickle are the way out of it."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import pytest

from experiments.page_serialization.codecs import CODECS, NotAHit, PydanticJson, TypedEntry
from experiments.page_serialization.original_failure import (
    CannotConstruct,
    Concert,
    DefaultTyping,
    PageImpl,
    Untyped,
)


@pytest.fixture
def page() -> PageImpl[Concert]:
    concert = Concert()
    concert.id, concert.name = 1, "봄밤의 콘서트"
    return PageImpl([concert], number=0, size=20, total=1)


def test_without_types_a_page_comes_back_as_a_dict(page: PageImpl[Concert]) -> None:
    """Java: class java.util.LinkedHashMap cannot be cast to class org.springframework.data.domain.Page."""
    untyped = Untyped()
    read: Any = untyped.deserialize(untyped.serialize(page))
    assert isinstance(read, dict)
    assert type(read["content"][0]) is dict
    with pytest.raises(AttributeError, match="'dict' object has no attribute 'has_next'"):
        read.has_next()  # type: ignore[attr-defined]


def test_with_class_names_the_elements_come_back(page: PageImpl[Concert]) -> None:
    typing = DefaultTyping()
    read = typing.deserialize(typing.serialize(page.content[0]))
    assert type(read) is Concert
    assert vars(read) == vars(page.content[0])


def test_with_class_names_the_page_cannot_be_constructed(page: PageImpl[Concert]) -> None:
    """Java: Cannot construct instance of `PageImpl` (no Creators, like default constructor, exist)."""
    typing = DefaultTyping()
    with pytest.raises(CannotConstruct, match=r"cannot construct instance of PageImpl: .*missing 4 required"):
        typing.deserialize(typing.serialize(page))


def test_whoever_writes_class_names_chooses_what_is_constructed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that nobody meant to be in a cache: the standard library's, which makes a folder when it is made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = b'{"@class": "tempfile.TemporaryDirectory"}'
    with pytest.raises(NotAHit):
        CODECS[TypedEntry.name].answer(planted)
    assert not [*tmp_path.iterdir()]
    made = DefaultTyping().deserialize(planted)
    assert [str(folder) for folder in tmp_path.iterdir()] == [made.name]
    made.cleanup()


class _Planted:
    """What an attacker pickles: no page, but a call that the reader is to make."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


def test_reading_a_pickle_runs_what_it_says(tmp_path: Path) -> None:
    """Harmless here, as it only makes an empty file; ``os.system`` would have done as well."""
    marker = tmp_path / "made by reading the cache"
    planted = pickle.dumps(_Planted(marker))
    assert not marker.exists()
    pickle.loads(planted)
    assert marker.exists()


def test_to_the_stage_a_planted_pickle_is_a_miss(tmp_path: Path) -> None:
    marker = tmp_path / "made by reading the cache"
    planted = pickle.dumps(_Planted(marker))
    with pytest.raises(NotAHit):
        CODECS[TypedEntry.name].answer(planted)
    with pytest.raises(ValueError, match="Invalid JSON"):
        CODECS[PydanticJson.name].decode(planted)
    assert not marker.exists()
