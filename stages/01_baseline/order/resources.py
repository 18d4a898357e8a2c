"""What lives as long as the process: the database pool."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from common.database import Database
from order.settings import OrderSettings


@dataclass(frozen=True, slots=True)
class Resources:
    database: Database

    @classmethod
    def of(cls, settings: OrderSettings) -> Resources:
        return cls(Database(settings))

    async def close(self) -> None:
        await self.database.close()


def resources(request: Request) -> Resources:
    """The resources of the application that serves ``request``."""
    found: Resources = request.app.state.resources
    return found
