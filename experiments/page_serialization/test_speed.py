"""How long it takes to write a page down, to read it back, and to answer a hit with it.

``python -m experiments.page_serialization`` runs this several times and makes the tables of it.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from experiments.page_serialization import pages
from experiments.page_serialization.codecs import CODECS

pytestmark = [
    pytest.mark.parametrize("name", CODECS),
    pytest.mark.parametrize("size", pages.SIZES),
]


def test_encode(benchmark: BenchmarkFixture, name: str, size: int) -> None:
    codec = CODECS[name]
    own = codec.own(pages.concerts(size))
    stored = benchmark(codec.encode, own)
    assert codec.decode(stored) == own
    benchmark.extra_info["bytes"] = len(stored)


def test_decode(benchmark: BenchmarkFixture, name: str, size: int) -> None:
    codec = CODECS[name]
    own = codec.own(pages.concerts(size))
    assert benchmark(codec.decode, codec.encode(own)) == own


def test_answer(benchmark: BenchmarkFixture, name: str, size: int) -> None:
    codec = CODECS[name]
    stored = codec.encode(codec.own(pages.concerts(size)))
    assert benchmark(codec.answer, stored).startswith(b'{"content"')
