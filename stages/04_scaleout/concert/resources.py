"""What lives as long as the process: settings, database pool, the connection to order-service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from common.clients import ServiceClient
from common.database import Database
from common.identity import IdentitySigner
from concert.cache import Cache
from concert.orders import Orders
from concert.settings import ConcertSettings
from discovery.instances import BalancedClient
from discovery.sources import Discovery

OWN_NAME, ORDERS = "concert-service", "order-service"


@dataclass(frozen=True, slots=True)
class Resources:
    database: Database
    discovery: Discovery
    order_client: ServiceClient
    orders: Orders
    cache: Cache

    @classmethod
    def of(cls, settings: ConcertSettings, signer: IdentitySigner) -> Resources:
        discovery = Discovery(settings, {ORDERS: settings.order_service_url})
        client = BalancedClient(discovery.services[ORDERS], own_name=OWN_NAME, signer=signer)
        return cls(Database(settings), discovery, client, Orders(client), Cache(settings))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """The transaction of a change: every one of this service's is made in here.

        Raises:
            ServiceUnavailable: no database connection became free in time.
        """
        async with self.cache.changing() as about_to_commit, self.database.session() as session:
            yield session
            await about_to_commit()

    async def open(self) -> None:
        await self.discovery.open()
        await self.order_client.open()
        await self.cache.server.open()

    async def close(self) -> None:
        await self.cache.server.close()
        await self.order_client.close()
        await self.discovery.close()
        await self.database.close()


def resources(request: Request) -> Resources:
    """The resources of the application that serves ``request``."""
    found: Resources = request.app.state.resources
    return found
