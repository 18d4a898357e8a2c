"""Password hashes: Argon2id (RFC 9106), made in threads so that the event loop never waits for one."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane. RFC 9106's own low-memory profile takes 64 MiB
# and three passes, which an instance of a fraction of a core cannot give to every login.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1


class Passwords:
    """Hashes and checks passwords, at most ``threads`` at a time; the others wait their turn without blocking."""

    def __init__(self, threads: int) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._nobodys_hash = self._hasher.hash(secrets.token_hex())

    async def hash(self, password: str) -> str:
        """The encoded hash of ``password``, with its salt and parameters in it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether ``password`` is the one behind ``password_hash``.

        For no hash at all (there is no such user) the answer is False after the same time, so that a login does not
        tell which emails have an account.
        """
        asked = self._nobodys_hash if password_hash is None else password_hash
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, asked, password)
        return found and password_hash is not None

    def close(self) -> None:
        """Waits for the hashes under way."""
        self._threads.shutdown()

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False
