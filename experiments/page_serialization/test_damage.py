"""What does not belong to this page, and who notices."""

from __future__ import annotations

import pytest

from experiments.page_serialization import pages
from experiments.page_serialization.codecs import (
    CODECS,
    GenericJson,
    MsgspecJson,
    MsgspecMsgpack,
    OrJson,
    Pickle,
    PydanticJson,
    TypedEntry,
)
from experiments.page_serialization.damage import UNNOTICED, damaged, outcome
from experiments.page_serialization.stage import ConcertView

DAMAGES = list(damaged(GenericJson.name))

_VALIDATING = {name: {"one bit flipped", "another type, empty"} for name in (
    PydanticJson.name, OrJson.name, MsgspecJson.name, MsgspecMsgpack.name,
)}  # fmt: skip
_TRUSTING = {name: set(DAMAGES) - {"cut short", "not ours"} for name in (GenericJson.name, Pickle.name)}
GOES_UNNOTICED: dict[str, set[str]] = {**_VALIDATING, **_TRUSTING, TypedEntry.name: set()}


@pytest.mark.parametrize("name", CODECS)
def test_what_goes_unnoticed(name: str) -> None:
    found = {damage: outcome(name, stored) for damage, stored in damaged(name).items()}
    assert {damage for damage, what in found.items() if what == UNNOTICED} == GOES_UNNOTICED[name]


@pytest.mark.parametrize("damage", DAMAGES)
def test_to_the_stage_all_damage_is_a_miss(damage: str) -> None:
    assert outcome(TypedEntry.name, damaged(TypedEntry.name)[damage]) == "a miss: unreadable"


def test_no_damage_is_none() -> None:
    """The samples above are refused for what is wrong with them, and not for how they were made."""
    page = pages.concerts(20)
    for codec in CODECS.values():
        own = codec.own(page)
        assert codec.decode(codec.encode(own)) == own
    for name in CODECS:
        whole = CODECS[name].encode(CODECS[name].own(page))
        assert whole not in damaged(name).values()


def test_versions_are_told_apart_by_their_shape() -> None:
    assert repr(pages.OldConcertView) == repr(ConcertView)


def test_a_pickle_of_an_older_version_breaks_later() -> None:
    """It is read without complaint, as nothing checks it, and fails wherever the new field is first used."""
    old = CODECS[Pickle.name].decode(damaged(Pickle.name)["older version"])
    assert type(old.content[0]) is ConcertView
    with pytest.raises(AttributeError, match="concert_image"):
        _ = old.content[0].concert_image
