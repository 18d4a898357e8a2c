"""Replay tokens: what one half makes, the other lets in once, and nothing else."""

from __future__ import annotations

import pytest

from common.errors import NotAuthorized
from common.replay_tokens import ReplayGuard, ReplaySigner
from harness.launch import Secrets

REQUEST = ("POST", b"/bookings/batch", b"[]")

secrets = Secrets()


@pytest.fixture
def signer() -> ReplaySigner:
    return ReplaySigner(secrets.replay_private_key)


@pytest.fixture
def guard() -> ReplayGuard:
    return ReplayGuard(secrets.replay_public_key)


def test_a_token_is_good_once(guard: ReplayGuard, signer: ReplaySigner) -> None:
    token = signer.token(*REQUEST)
    guard.admit(token, *REQUEST)
    with pytest.raises(NotAuthorized, match="used before"):
        guard.admit(token, *REQUEST)
    guard.admit(signer.token(*REQUEST), *REQUEST)


@pytest.mark.parametrize("number", range(3))
def test_a_token_is_good_for_one_request(guard: ReplayGuard, signer: ReplaySigner, number: int) -> None:
    other = [
        ("PUT", b"/bookings/batch", b"[]"),
        ("POST", b"/tickets", b"[]"),
        ("POST", b"/bookings/batch", b"[ ]"),
    ]
    with pytest.raises(NotAuthorized, match="other request"):
        guard.admit(signer.token(*REQUEST), *other[number])


def test_a_token_of_another_key_is_forged(guard: ReplayGuard) -> None:
    with pytest.raises(NotAuthorized, match="forged"):
        guard.admit(ReplaySigner(Secrets().replay_private_key).token(*REQUEST), *REQUEST)


def test_a_key_that_is_none_is_refused() -> None:
    for text in ("", "x", "AAAA", "ü" * 43):
        with pytest.raises(ValueError, match=r"."):
            ReplayGuard(text)
        with pytest.raises(ValueError, match=r"."):
            ReplaySigner(text)
