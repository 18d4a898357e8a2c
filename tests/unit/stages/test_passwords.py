"""Password hashing, without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from argon2 import extract_parameters

from user.passwords import LANES, MEMORY_KIB, PASSES, Passwords


@pytest.fixture(scope="module")
def passwords() -> Iterator[Passwords]:
    made = Passwords(threads=2)
    yield made
    made.close()


def test_a_password_matches_its_own_hash_only(passwords: Passwords) -> None:
    async def run() -> tuple[bool, bool]:
        hashed = await passwords.hash("Passw0rd!")
        return await passwords.matches("Passw0rd!", hashed), await passwords.matches("Passw0rd?", hashed)

    assert asyncio.run(run()) == (True, False)


def test_equal_passwords_have_different_hashes(passwords: Passwords) -> None:
    async def run() -> set[str]:
        return set(await asyncio.gather(*(passwords.hash("Passw0rd!") for _ in range(3))))

    assert len(asyncio.run(run())) == 3


def test_hashes_are_argon2id_with_the_parameters_that_the_module_states(passwords: Passwords) -> None:
    parameters = extract_parameters(asyncio.run(passwords.hash("Passw0rd!")))
    assert parameters.type.name == "ID"
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (MEMORY_KIB, PASSES, LANES)


def test_nobody_has_no_password(passwords: Passwords) -> None:
    assert asyncio.run(passwords.matches("Passw0rd!", None)) is False


def test_a_hash_that_is_none_matches_nothing(passwords: Passwords) -> None:
    assert asyncio.run(passwords.matches("Passw0rd!", "not a hash")) is False


def test_an_unknown_email_takes_as_long_as_a_wrong_password(passwords: Passwords) -> None:
    """CPU time, best of several: an answer without hashing would take under a hundredth of one with it."""

    async def best(password_hash: str | None) -> float:
        spans = []
        for _ in range(5):
            started = time.process_time()
            await passwords.matches("wrong", password_hash)
            spans.append(time.process_time() - started)
        return min(spans)

    async def run() -> float:
        return await best(None) / await best(await passwords.hash("Passw0rd!"))

    assert 0.3 < asyncio.run(run()) < 3


def test_the_event_loop_goes_on_while_passwords_are_hashed(passwords: Passwords) -> None:
    async def run() -> int:
        turns = 0
        hashing = asyncio.gather(*(passwords.hash("Passw0rd!") for _ in range(4)))
        while not hashing.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(run()) > 20
