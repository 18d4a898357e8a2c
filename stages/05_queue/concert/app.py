"""The ASGI application of concert-service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from common.identity import IdentitySigner
from common.service import bounded, build_api
from concert.api import concerts, internal, schedules, venues
from concert.front import Front
from concert.resources import OWN_NAME, Resources
from concert.settings import ConcertSettings
from discovery.sources import registered


def create_app(settings: ConcertSettings) -> ASGIApp:
    """The whole service: identity and limits at its boundary, the API behind it."""
    signer = IdentitySigner(settings.identity_key.get_secret_value())
    resources = Resources.of(settings, signer)
    front = Front(create_api(resources), resources.cache)
    return bounded(front, settings, signer, checks=[resources.database.check])


def create_api(resources: Resources) -> FastAPI:
    """The API alone; ``resources`` are opened when it starts, and closed when it shuts down."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[dict[str, Any]]:
        await resources.open()
        async with registered(resources.discovery.settings, OWN_NAME) as state:
            yield state
        await resources.close()

    # Routes are tried in this order: the busy ones come first.
    routers = [schedules.router, concerts.router, venues.router, internal.router]
    api = build_api("concert-service", routers, lifespan)
    api.state.resources = resources
    return api
