"""What each codec makes of bytes that are not this page as it is written today."""

from __future__ import annotations

import pickle
from typing import Any

from common.paging import Page
from experiments.page_serialization import pages
from experiments.page_serialization.codecs import CODECS, Codec, NotAHit, Pickle, codecs
from experiments.page_serialization.pages import (
    ConcertPage,
    OldConcertStruct,
    OldConcertView,
    StructPage,
    VenuePage,
    VenueStruct,
)
from experiments.page_serialization.stage import ConcertView, VenueView

UNNOTICED = "**unnoticed**"

_OLD = codecs(Page[OldConcertView], StructPage[OldConcertStruct], ConcertPage)
_VENUES = codecs(Page[VenueView], StructPage[VenueStruct], VenuePage)


def damaged(name: str) -> dict[str, bytes]:
    """What the codec of this ``name`` may find in the place of a page of 20 concerts, by what went wrong."""
    page = pages.concerts(20)
    stored = _stored(CODECS[name], page)
    return {
        "cut short": stored[:-10],
        # A letter becomes its neighbour, which every format takes for just another name.
        "one bit flipped": stored.replace(b"Spring", b"Rpring", 1),
        "another type": _stored(_VENUES[name], pages.venues()),
        "another type, empty": _stored(_VENUES[name], pages.no_venues()),
        "older version": _of_an_older_version(name, page),
        "not ours": b"not a page",
    }


def outcome(name: str, stored: bytes) -> str:
    """What becomes of ``stored``, which is no page of today, when the codec of this ``name`` reads it."""
    try:
        CODECS[name].decode(stored)
    except NotAHit as why:
        return f"a miss: {why}"
    except Exception as refused:  # each library has errors of its own, and a pickle raises whatever it runs into
        return f"refused: {type(refused).__name__}"
    return UNNOTICED


def _stored(codec: Codec[Any], page: Page[Any]) -> bytes:
    return codec.encode(codec.own(page))


def _of_an_older_version(name: str, page: Page[ConcertView]) -> bytes:
    """The page as it was written by the release in which a concert had no image yet."""
    if name != Pickle.name:
        return _stored(_OLD[name], pages.of_an_older_version(page))
    # A pickle names the class, and the class had the same name then.
    content = [ConcertView.model_construct(**concert.model_dump(exclude={"concert_image"})) for concert in page.content]
    return pickle.dumps(ConcertPage.model_construct(**{**page.__dict__, "content": content}))
