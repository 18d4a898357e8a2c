"""What lives as long as the process: settings, database pool, connections to the other services and the provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import Request

from common.clients import ServiceClient
from common.database import Database
from common.identity import IdentitySigner
from common.replay_tokens import ReplayGuard
from discovery.instances import BalancedClient
from discovery.sources import Discovery
from order.concerts import Concerts
from order.outbox import Relay
from order.people import People
from order.provider import Provider
from order.schedules import Schedules
from order.seat_lock import SeatLock, session_parameters
from order.settings import OrderSettings
from order.widget import Widget

OWN_NAME, CONCERTS, USERS = "order-service", "concert-service", "user-service"


@dataclass(frozen=True, slots=True)
class Resources:
    settings: OrderSettings
    database: Database
    discovery: Discovery
    concert_client: ServiceClient
    user_client: ServiceClient
    schedules: Schedules
    concerts: Concerts
    people: People
    provider: Provider
    widget: Widget
    relay: Relay
    seat_lock: SeatLock
    replay_guard: ReplayGuard

    @classmethod
    def of(cls, settings: OrderSettings, signer: IdentitySigner) -> Resources:
        database = Database(settings, session_parameters=session_parameters(settings))
        discovery = Discovery(settings, {CONCERTS: settings.concert_service_url, USERS: settings.user_service_url})
        concert_client = BalancedClient(discovery.services[CONCERTS], own_name=OWN_NAME, signer=signer)
        user_client = BalancedClient(discovery.services[USERS], own_name=OWN_NAME, signer=signer)
        return cls(
            settings=settings,
            database=database,
            discovery=discovery,
            concert_client=concert_client,
            user_client=user_client,
            schedules=Schedules(concert_client),
            concerts=Concerts(concert_client),
            people=People(user_client),
            provider=Provider(
                settings.payment_api_url,
                settings.payment_secret_key.get_secret_value(),
                timeout_seconds=settings.provider_seconds,
            ),
            widget=Widget(settings),
            relay=Relay(database, settings),
            seat_lock=SeatLock(database, settings),
            replay_guard=ReplayGuard(settings.replay_public_key),
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Connections are made on the event loop that uses them, and closed at the end of the block."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            for client in (self.discovery, self.concert_client, self.user_client, self.provider, self.seat_lock):
                await client.open()
                stack.push_async_callback(client.close)
            yield


def resources(request: Request) -> Resources:
    """The resources of the application that serves ``request``."""
    found: Resources = request.app.state.resources
    return found
