"""What lives as long as the process: settings, database pool, hashing threads."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from common.database import Database
from user.passwords import Passwords
from user.settings import UserSettings


@dataclass(frozen=True, slots=True)
class Resources:
    settings: UserSettings
    database: Database
    passwords: Passwords

    @classmethod
    def of(cls, settings: UserSettings) -> Resources:
        return cls(settings, Database(settings), Passwords(settings.hashing_threads))

    async def close(self) -> None:
        self.passwords.close()
        await self.database.close()


def resources(request: Request) -> Resources:
    """The resources of the application that serves ``request``."""
    found: Resources = request.app.state.resources
    return found
