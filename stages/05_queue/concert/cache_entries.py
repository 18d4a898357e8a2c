"""Typed entries: what the cache stores says what it is, and reads back as exactly that.

The original could not read its own cached pages: its serializer wrote down which fields a page has, but not that it was
a page, nor of what (experiments/page_serialization). Here an entry carries a fingerprint of its type, and the JSON that
goes over the wire: a hit is answered with it as it is, and what is decoded is validated. No pickle could run code here.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from struct import Struct
from typing import Generic, TypeVar
from zlib import crc32

from pydantic import TypeAdapter

T = TypeVar("T")

# Another layout of the entry needs another magic number; another shape of the type changes its fingerprint by itself.
_MAGIC = b"ftc1"
GENERATION_BYTES = 8

# Magic and fingerprint, digest of the key, generation, CRC-32 of the body.
_HEAD = Struct(f">12s16s{GENERATION_BYTES}sI")


class Found(StrEnum):
    """What an entry turned out to be."""

    HIT = "hit"
    MISS = "miss"  # there is none
    SHARED = "shared"  # none yet, but somebody is loading it
    OUTDATED = "outdated"  # of another generation: something has been written since
    DISPLACED = "displaced"  # of another key, which has the same slot
    BYPASS = "bypass"  # nobody knows: the server does not answer, or something is being changed
    UNREADABLE = "unreadable"  # corrupt, of another type, or of another version of the type


class Kind(Generic[T]):
    """A kind of entry: its name in keys and metrics, the type of its values, and the age (in ``seconds`` from when a
    value began to be loaded) at which they are served no longer."""

    def __init__(self, name: str, shape: type[T], *, seconds: float) -> None:
        """``shape`` is the type of a value, all of its parameters given: ``Page[ConcertView]``."""
        self.name = name
        self.seconds = seconds
        self._adapter: TypeAdapter[T] = TypeAdapter(shape)
        described = repr((shape, self._adapter.json_schema(mode="serialization")))
        self._type = _MAGIC + blake2b(described.encode(), digest_size=8).digest()

    def encode(self, value: T) -> bytes:
        """The JSON of ``value``, as it goes over the wire. A ValueError if it is of another type."""
        body = self._adapter.dump_json(value, by_alias=True, warnings="error")
        self.decode(body)  # pydantic writes any model for any other, and null for anything, without a warning
        return body

    def decode(self, body: bytes) -> T:
        """The value whose JSON is ``body``: of the same type, with elements of the same type, and equal."""
        return self._adapter.validate_json(body)

    def digest(self, key: object) -> bytes:
        """What stands for ``key``, and for no other key of any kind."""
        return blake2b(repr((self.name, key)).encode(), digest_size=16).digest()

    def pack(self, digest: bytes, generation: bytes, body: bytes) -> bytes:
        """The entry that is stored."""
        return _HEAD.pack(self._type, digest, generation, crc32(body)) + body

    def unpack(self, digest: bytes, generation: bytes, entry: bytes | None) -> tuple[Found, bytes]:
        """What ``entry`` is to somebody who looks for this key in this generation; its body, if it is a hit."""
        if entry is None:
            return Found.MISS, b""
        if len(entry) < _HEAD.size:
            return Found.UNREADABLE, b""
        of_type, of_key, of_generation, checksum = _HEAD.unpack_from(entry)
        body = entry[_HEAD.size :]
        if of_type != self._type or checksum != crc32(body):
            return Found.UNREADABLE, b""
        if of_key != digest:
            return Found.DISPLACED, b""
        if of_generation != generation:
            return Found.OUTDATED, b""
        return Found.HIT, body
