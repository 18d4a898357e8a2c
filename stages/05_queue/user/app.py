"""The ASGI application of user-service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from common.identity import IdentitySigner
from common.service import bounded, build_api
from user.api import auth, internal, users
from user.resources import Resources
from user.settings import UserSettings


def create_app(settings: UserSettings) -> ASGIApp:
    """The whole service: identity and limits at its boundary, the API behind it."""
    resources = Resources.of(settings)
    return bounded(
        create_api(resources),
        settings,
        IdentitySigner(settings.identity_key.get_secret_value()),
        checks=[resources.database.check],
        public=("/auth/",),
    )


def create_api(resources: Resources) -> FastAPI:
    """The API alone; ``resources`` are closed when it shuts down."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        await resources.close()

    api = build_api("user-service", [auth.router, users.router, internal.router], lifespan)
    api.state.resources = resources
    return api
