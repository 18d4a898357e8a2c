"""``GET /constant?bytes=N``: always the same N bytes in the contract's envelope."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.types import ASGIApp

from common.identity import IdentitySigner
from common.service import bounded, build_api
from common.wire import ok_bytes
from harness.noop.settings import NoopSettings

router = APIRouter()

# The envelope around the data, in the default language.
ENVELOPE_BYTES = len(ok_bytes(b"").body)


@lru_cache(maxsize=16)
def constant(size: int) -> bytes:
    """A JSON string that makes the whole answer ``size`` bytes long, or as short as an answer can be."""
    return b'"' + b"x" * max(0, size - ENVELOPE_BYTES - 2) + b'"'


@router.get("/constant")
async def answer(size: Annotated[int, Query(alias="bytes", ge=1, le=1_000_000)] = 4096) -> Response:
    return ok_bytes(constant(size))


@asynccontextmanager
async def _nothing_to_open() -> AsyncIterator[None]:
    yield


def create_app(settings: NoopSettings) -> ASGIApp:
    api = build_api("noop", [router], _nothing_to_open)
    return bounded(api, settings, IdentitySigner(settings.identity_key.get_secret_value()), checks=[])
