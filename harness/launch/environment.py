"""What each process is told: its settings as environment variables, and no secret that it does not need."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.launch.secrets import Secrets
from harness.provision import Infrastructure
from harness.stages.manifest import REPOSITORY, Stage

DATABASES: Mapping[str, str] = {"user": "users", "concert": "concerts", "order": "orders"}
"""The database of each service; no service reads another's."""

# What a Python process needs from its surroundings. The rest of the caller's environment stays outside: a stray
# variable must not change a measurement, and a secret of the caller's is none of a service's business.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_INHERITED_PREFIXES = ("OTEL_",)

# The gateway itself, and the payment provider, which stands for somebody else's system.
_NOT_BEHIND_THE_GATEWAY = ("gateway", "payment")


@dataclass(frozen=True)
class Wiring:
    """Where everything of one running stage is."""

    stage: Stage
    infrastructure: Infrastructure
    database_urls: Mapping[str, str]
    """Package to the URL of its database."""
    service_urls: Mapping[str, str]
    """Package to the base URL of its first instance."""
    secrets: Secrets
    prefix: str
    """Of Redis keys and Kafka topics: what an earlier start of a stage left on the same server is not seen."""
    ledger: Path
    """The payment simulator's own record of what was paid and given back."""
    seed: int
    """Of the payment simulator's latencies and faults."""
    overrides: Mapping[str, str]
    """Settings that a test or a scenario changes."""


def process_environment(wiring: Wiring, package: str, port: int) -> dict[str, str]:
    """The whole environment of one process of ``package``."""
    prefix = package.upper()
    environment = {
        **_base(wiring),
        f"{prefix}_PORT": str(port),
        **_own(wiring, package),
        **(_servers(wiring) if package in wiring.stage.services else {}),
        **(_found_by(wiring, port) if package in wiring.stage.services else {}),
    }
    return environment | {key: value for key, value in wiring.overrides.items() if key.startswith(f"{prefix}_")}


def migration_environment(wiring: Wiring) -> dict[str, str]:
    """Where the databases are, and nothing else that is secret."""
    urls = {f"{package.upper()}_DATABASE_URL": url for package, url in wiring.database_urls.items()}
    return {**_base(wiring), **urls}


def _base(wiring: Wiring) -> dict[str, str]:
    path = os.pathsep.join([str(wiring.stage.folder), str(REPOSITORY)])
    return {**_inherited(), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _servers(wiring: Wiring) -> dict[str, str]:
    """Redis and Kafka, where the stage names them, with a prefix that keeps two stages apart on one server."""
    found: dict[str, str] = {}
    if "redis" in wiring.stage.infrastructure:
        found |= {"REDIS_URL": wiring.infrastructure.redis_url, "REDIS_PREFIX": f"{wiring.prefix}:"}
    if "kafka" in wiring.stage.infrastructure:
        found |= {"KAFKA_BOOTSTRAP": wiring.infrastructure.kafka_bootstrap, "KAFKA_PREFIX": f"{wiring.prefix}."}
    return found


def _found_by(wiring: Wiring, port: int) -> dict[str, str]:
    """How instances find each other, where a service may have several; else each is where the others are told."""
    if wiring.stage.discovery == "static":
        return {}
    return {"DISCOVERY": wiring.stage.discovery, "INSTANCE_URL": f"http://127.0.0.1:{port}"}


def _own(wiring: Wiring, package: str) -> dict[str, str]:
    identity = {"IDENTITY_KEY": wiring.secrets.identity}
    match package:
        case "gateway":
            beside = (*_NOT_BEHIND_THE_GATEWAY, *wiring.stage.workers)
            behind = {name: url for name, url in wiring.service_urls.items() if name not in beside}
            urls = {f"{name}-service": url for name, url in behind.items()}
            jwt = {"JWT_SECRET": wiring.secrets.jwt}
            return {**identity, **jwt, **_queue(wiring, package), "GATEWAY_SERVICE_URLS": json.dumps(urls)}
        case "user":
            return {
                **identity,
                "JWT_SECRET": wiring.secrets.jwt,
                "USER_DATABASE_URL": wiring.database_urls["user"],
                "USER_SELLER_CODE": wiring.secrets.seller_code,
                "USER_MANAGER_CODE": wiring.secrets.manager_code,
            }
        case "concert":
            return {
                **identity,
                "CONCERT_DATABASE_URL": wiring.database_urls["concert"],
                "CONCERT_ORDER_SERVICE_URL": wiring.service_urls["order"],
            }
        case "order":
            return {
                **identity,
                "ORDER_DATABASE_URL": wiring.database_urls["order"],
                "ORDER_CONCERT_SERVICE_URL": wiring.service_urls["concert"],
                "ORDER_USER_SERVICE_URL": wiring.service_urls["user"],
                "ORDER_PAYMENT_API_URL": wiring.service_urls["payment"],
                "PAYMENT_SECRET_KEY": wiring.secrets.payment,
                **_queue(wiring, package),
            }
        case "payment":
            return {
                "PAYMENT_SECRET_KEY": wiring.secrets.payment,
                "PAYMENT_LEDGER": str(wiring.ledger),
                "PAYMENT_SEED": str(wiring.seed),
            }
        case "noop":
            return identity
        case _:
            raise ValueError(f"no process is called {package}")


def _queue(wiring: Wiring, package: str) -> dict[str, str]:
    """The keys of the admission queue, where the stage has one: who may replay a request, and who can tell."""
    if "dispatcher" not in wiring.stage.workers:
        return {}
    if package == "order":
        return {"REPLAY_PUBLIC_KEY": wiring.secrets.replay_public_key}
    return {"QUEUE_KEY": wiring.secrets.queue, "REPLAY_PRIVATE_KEY": wiring.secrets.replay_private_key}


def _inherited() -> dict[str, str]:
    names = [name for name in os.environ if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)]
    return {name: os.environ[name] for name in names}
