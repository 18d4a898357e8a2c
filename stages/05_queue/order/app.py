"""The ASGI application of order-service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from common.identity import IdentitySigner
from common.service import bounded, build_api
from discovery.sources import registered
from order.api import bookings, internal, payments, seats, widget
from order.resources import OWN_NAME, Resources
from order.settings import OrderSettings
from order.workers import working


def create_app(settings: OrderSettings) -> ASGIApp:
    """The whole service: identity and limits at its boundary, the API behind it."""
    signer = IdentitySigner(settings.identity_key.get_secret_value())
    resources = Resources.of(settings, signer)
    return bounded(create_api(resources), settings, signer, checks=[resources.database.check], public=("/widget/",))


def create_api(resources: Resources) -> FastAPI:
    """The API alone; ``resources`` are opened when it starts, and closed when it shuts down."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[dict[str, Any]]:
        async with resources.opened(), working(resources), registered(resources.settings, OWN_NAME) as state:
            yield state

    # Routes are tried in this order: the busy ones come first.
    routers = [seats.router, bookings.router, payments.router, internal.router, widget.router]
    api = build_api("order-service", routers, lifespan)
    api.state.resources = resources
    return api
