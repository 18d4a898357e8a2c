"""The codecs that are compared; one of each kind of page."""

from __future__ import annotations

import json
import pickle
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import msgspec
import orjson
from pydantic import TypeAdapter

from common.paging import Page
from experiments.page_serialization.pages import ConcertPage, ConcertStruct, StructPage
from experiments.page_serialization.stage import ConcertView, Found, Kind

# What the users of a codec call a page.
P = TypeVar("P")


class NotAHit(Exception):
    """What is stored may not be served; the stage loads the page again."""


class Codec(ABC, Generic[P]):
    """Writes pages down and reads them back.

    Attributes:
        name: what it is called in the results.
    """

    name: str

    @abstractmethod
    def own(self, page: Page[Any]) -> P:
        """``page`` as this codec's users would hold it in the first place: no part of what is measured."""

    @abstractmethod
    def encode(self, page: P) -> bytes:
        """What is stored on a miss."""

    @abstractmethod
    def decode(self, stored: bytes) -> P:
        """The page, or whatever this codec takes for it."""

    @abstractmethod
    def answer(self, stored: bytes) -> bytes:
        """What is done on a hit: the JSON that goes over the wire, made from what is stored."""


class GenericJson(Codec[Any]):
    """The standard library's JSON as it comes: knows no types, and writes Korean as ``\\u`` escapes."""

    name = "json, untyped"

    def own(self, page: Page[Any]) -> Any:
        return page.model_dump(mode="json", by_alias=True)

    def encode(self, page: Any) -> bytes:
        return json.dumps(page).encode()

    def decode(self, stored: bytes) -> Any:
        return json.loads(stored)

    def answer(self, stored: bytes) -> bytes:
        return self.encode(self.decode(stored))


class PydanticJson(Codec[Page[Any]]):
    """pydantic's own JSON."""

    name = "pydantic JSON"

    def __init__(self, shape: type[Page[Any]]) -> None:
        self._pages = TypeAdapter(shape)

    def own(self, page: Page[Any]) -> Page[Any]:
        return page

    def encode(self, page: Page[Any]) -> bytes:
        return self._pages.dump_json(page, by_alias=True)

    def decode(self, stored: bytes) -> Page[Any]:
        return self._pages.validate_json(stored)

    def answer(self, stored: bytes) -> bytes:
        return self.encode(self.decode(stored))


class OrJson(PydanticJson):
    """orjson, which knows no pydantic: models become dicts on the way out, and dicts models on the way in."""

    name = "orjson"

    def encode(self, page: Page[Any]) -> bytes:
        return orjson.dumps(self._pages.dump_python(page, by_alias=True))

    def decode(self, stored: bytes) -> Page[Any]:
        return self._pages.validate_python(orjson.loads(stored))


class MsgspecJson(Codec[StructPage[Any]]):
    """msgspec's JSON of msgspec's structs."""

    name = "msgspec JSON"

    def __init__(self, shape: type[StructPage[Any]]) -> None:
        self._shape = shape
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(shape)

    def own(self, page: Page[Any]) -> StructPage[Any]:
        own: StructPage[Any] = msgspec.convert(page.model_dump(by_alias=True), self._shape)
        return own

    def encode(self, page: StructPage[Any]) -> bytes:
        return self._encoder.encode(page)

    def decode(self, stored: bytes) -> StructPage[Any]:
        page: StructPage[Any] = self._decoder.decode(stored)
        return page

    def answer(self, stored: bytes) -> bytes:
        return self._encoder.encode(self.decode(stored))


class MsgspecMsgpack(MsgspecJson):
    """msgspec's MessagePack of the same structs: on a hit the client still wants JSON."""

    name = "msgspec msgpack"

    def __init__(self, shape: type[StructPage[Any]]) -> None:
        super().__init__(shape)
        self._packer = msgspec.msgpack.Encoder()
        self._unpacker = msgspec.msgpack.Decoder(shape)

    def encode(self, page: StructPage[Any]) -> bytes:
        return self._packer.encode(page)

    def decode(self, stored: bytes) -> StructPage[Any]:
        page: StructPage[Any] = self._unpacker.decode(stored)
        return page


class Pickle(Codec[Page[Any]]):
    """For contrast only: to read a pickle is to run it."""

    name = "pickle"

    def __init__(self, named: type[Page[Any]]) -> None:
        self._named = named

    def own(self, page: Page[Any]) -> Page[Any]:
        return self._named.model_construct(**page.__dict__)

    def encode(self, page: Page[Any]) -> bytes:
        return pickle.dumps(page, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, stored: bytes) -> Page[Any]:
        page: Page[Any] = pickle.loads(stored)
        return page

    def answer(self, stored: bytes) -> bytes:
        return self.decode(stored).model_dump_json(by_alias=True).encode()


class TypedEntry(Codec[Page[Any]]):
    """What the stage stores: a head that says what it is, and the JSON that goes over the wire as it is."""

    name = "typed entry (stage 02)"

    def __init__(self, shape: type[Page[Any]]) -> None:
        self._kind: Kind[Page[Any]] = Kind("concert-page", shape, seconds=60)
        self._digest = self._kind.digest((0, 20))
        self._generation = bytes(8)

    def own(self, page: Page[Any]) -> Page[Any]:
        return page

    def encode(self, page: Page[Any]) -> bytes:
        return self._kind.pack(self._digest, self._generation, self._kind.encode(page))

    def decode(self, stored: bytes) -> Page[Any]:
        """
        Raises:
            NotAHit: the stage would not serve it.
        """
        return self._kind.decode(self.answer(stored))

    def answer(self, stored: bytes) -> bytes:
        """
        Raises:
            NotAHit: the stage would not serve it.
        """
        found, body = self._kind.unpack(self._digest, self._generation, stored)
        if found is not Found.HIT:
            raise NotAHit(found)
        return body


def codecs(shape: type[Page[Any]], struct: type[StructPage[Any]], named: type[Page[Any]]) -> dict[str, Codec[Any]]:
    """All codecs of one kind of page, by name.

    Args:
        shape: the page as the stage has it.
        struct: the same as msgspec has it.
        named: the same as a class that pickle can find.
    """
    every: list[Codec[Any]] = [
        GenericJson(),
        PydanticJson(shape),
        OrJson(shape),
        MsgspecJson(struct),
        MsgspecMsgpack(struct),
        Pickle(named),
        TypedEntry(shape),
    ]
    return {codec.name: codec for codec in every}


CODECS = codecs(Page[ConcertView], StructPage[ConcertStruct], ConcertPage)
