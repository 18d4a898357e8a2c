"""The instances of one service, as this process knows them: which one a request goes to, and which ones get none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter

import aiohttp
from prometheus_client import Counter

from common.clients import ServiceClient
from common.http_client import BROKEN, NOT_CONNECTED
from common.identity import IdentitySigner

logger = logging.getLogger(__name__)

EJECTIONS = Counter("discovery_ejections", "Instances that could not be connected to, and were left out.", ["service"])
RETRIES = Counter("discovery_retries", "Requests that were sent again, if possible to another instance.", ["service"])

PROBE_SECONDS = 0.5


@dataclass(eq=False, slots=True)
class Instance:
    """One instance, and what this process has to do with it.

    Attributes:
        is_ready: as of the last list: that the registry is down ends no lease.
        renewed_at: when its lease was, by ``time.monotonic``; None where there are no leases.
        in_flight: requests of this process that it has not finished, those that wait for a connection included.
        ejections: how often it could not be connected to, though it was thought to be there.
    """

    url: str
    is_ready: bool = True
    renewed_at: float | None = None
    in_flight: int = 0
    is_ejected: bool = False
    ejections: int = 0

    def finished(self) -> None:
        self.in_flight -= 1


class Instances:
    """Balances by least requests in flight, in turns between equals.

    Who is ejected gets no request until it answers a probe, who is not ready gets none either; but if nobody else is
    left, asking them is better than asking nobody.
    """

    def __init__(self, service: str, addresses: str) -> None:
        """``addresses`` are used until the first ``update``."""
        self.service = service
        self._known: dict[str, Instance] = {}
        self._turn = 0
        self._probes: set[asyncio.Task[None]] = set()
        self.update([Instance(url) for url in split(addresses)])

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._known.values())

    async def close(self) -> None:
        await end(*self._probes)

    def update(self, listed: Sequence[Instance]) -> None:
        """Takes over a list. An empty one is none: rather has the registry lost its data than a service all of it."""
        if not listed:
            return
        before, self._known = self._known, {}
        for entry in listed:
            one = self._known[entry.url] = before.get(entry.url, entry)
            one.is_ready, one.renewed_at = entry.is_ready, entry.renewed_at

    def take(self, tried: Collection[Instance] = ()) -> Instance:
        """The instance for a request, if possible none that was ``tried``; in flight there until it is ``finished``."""
        asked = [one for one in self if one not in tried] or list(self)
        reachable = [one for one in asked if not one.is_ejected]
        usable = [one for one in reachable if one.is_ready] or reachable or asked
        self._turn = turn = (self._turn + 1) % len(usable)
        chosen = min(usable[turn:] + usable[:turn], key=attrgetter("in_flight"))
        chosen.in_flight += 1
        return chosen

    def eject(self, instance: Instance) -> None:
        """Sends it nothing more until it is probed successfully. Must run on the event loop."""
        if instance.is_ejected or self._known.get(instance.url) is not instance:
            return
        instance.is_ejected = True
        instance.ejections += 1
        EJECTIONS.labels(self.service).inc()
        logger.warning("%s: ejected %s", self.service, instance.url)
        probe = asyncio.create_task(self._probe(instance))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    async def _probe(self, instance: Instance) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as session:
            while instance.is_ejected and self._known.get(instance.url) is instance:
                await asyncio.sleep(PROBE_SECONDS)
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{instance.url}/health/ready") as answer:
                        instance.is_ejected = answer.status != 200


class Attempts:
    """Where one request is sent: to the instance ``at``, and maybe to another."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances
        self._tried: list[Instance] = []
        self._is_repeated = False
        self.at = instances.take()

    def again(self, problem: BaseException | None, *, may_repeat: bool) -> bool:
        """Whether to send it once more, to what is ``at`` then, after a failure; if not, it is in flight no longer.

        Args:
            may_repeat: whether it may be sent to an instance after another has perhaps had it; that is done once.
        """
        self.at.finished()
        self._tried.append(self.at)
        if isinstance(problem, NOT_CONNECTED):
            self._instances.eject(self.at)
            if all(one in self._tried for one in self._instances):
                return False
        elif not may_repeat or self._is_repeated:
            return False
        else:
            self._is_repeated = True
        self.at = self._instances.take(self._tried)
        RETRIES.labels(self._instances.service).inc()
        return True


class BalancedClient(ServiceClient):
    """A ``ServiceClient`` that chooses an instance for each call, and asks another one if that has just gone.

    Calls between services only ask: each may be repeated, whatever its method.
    """

    def __init__(self, instances: Instances, *, own_name: str, signer: IdentitySigner) -> None:
        super().__init__(lambda: self._url, own_name=own_name, signer=signer)
        self._instances = instances
        self._url = ""

    async def _ask(
        self, method: str, target: str, body: bytes | None = None, timeout_seconds: float | None = None
    ) -> bytes:
        attempts = Attempts(self._instances)
        while True:
            # Read by the call below before it first waits for anything: no other call comes in between.
            self._url = attempts.at.url
            try:
                answer = await super()._ask(method, target, body, timeout_seconds)
            except BaseException as problem:  # whatever it is, it is in flight there no longer
                if not attempts.again(problem.__cause__, may_repeat=isinstance(problem.__cause__, BROKEN)):
                    raise
            else:
                attempts.at.finished()
                return answer


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancels tasks until they have ended: a cancellation gets lost if it meets a time-out (Python 3.11)."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=0.1)


def split(addresses: str) -> list[str]:
    """The base URLs of an address."""
    return [url.strip().rstrip("/") for url in addresses.split(",")]
