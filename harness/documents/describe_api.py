"""The OpenAPI documents of the stage that is on the path.

Each is asked for as a client would, of the whole application; that needs no server and no database.
"""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from typing import Any

import httpx

from common.identity import IdentitySigner, Service
from harness.launch import Secrets
from harness.launch.environment import DATABASES

_PATH = "/openapi.json"
_SECRET = "nothing is secret about what is only described"
_NOWHERE = "127.0.0.1:1"

# What a service wants to know before it is made; it will never connect.
_ENVIRONMENT = {
    "IDENTITY_KEY": _SECRET,
    "JWT_SECRET": _SECRET,
    "PAYMENT_SECRET_KEY": _SECRET,
    "REPLAY_PUBLIC_KEY": Secrets().replay_public_key,
    "USER_SELLER_CODE": _SECRET,
    "USER_MANAGER_CODE": _SECRET,
    "REDIS_URL": f"redis://{_NOWHERE}",
    "REDIS_PREFIX": "documents:",
    "KAFKA_BOOTSTRAP": _NOWHERE,
    "KAFKA_PREFIX": "documents.",
    **{f"{package.upper()}_DATABASE_URL": f"postgresql://nobody@{_NOWHERE}/nowhere" for package in DATABASES},
}


async def describe(package: str) -> Any:
    """The document of one service."""
    settings = import_module(f"{package}.settings").load_settings()
    app = import_module(f"{package}.app").create_app(settings)
    identity = IdentitySigner(_SECRET).headers_for(Service("documents"), "GET", _PATH.encode())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return (await client.get(_PATH, headers=identity)).raise_for_status().json()


def describe_all() -> dict[str, Any]:
    """Package to its document; what the services are told, they find in this process's environment."""
    os.environ |= _ENVIRONMENT

    async def all_of_them() -> dict[str, Any]:
        return {package: await describe(package) for package in DATABASES}

    return asyncio.run(all_of_them())
