"""The signature over an identity: it vouches for one caller on one request, and for nothing else."""

from __future__ import annotations

import time
from contextvars import copy_context

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common import identity
from common.errors import LoginRequired, NotAuthorized
from common.identity import (
    EMAIL,
    IDENTITY_HEADERS,
    MAX_AGE_SECONDS,
    ROLE,
    SERVICE,
    SIGNATURE,
    TIME,
    USER_ID,
    Caller,
    IdentitySigner,
    Role,
    Service,
    User,
)  # fmt: skip

KEY = "an identity key of thirty-two characters"
SIGNER = IdentitySigner(KEY)
USER = User(7, "fan@example.com", Role.USER)
TARGET = b"/bookings/me/7?page=1"

users = st.builds(
    User,
    user_id=st.integers(min_value=-(2**63), max_value=2**63 - 1),
    email=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60),
    role=st.sampled_from(Role),
)
callers = users | st.builds(Service, name=st.sampled_from(["user-service", "concert-service", "order-service"]))
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])
targets = st.binary(min_size=1, max_size=60).map(lambda rest: b"/" + rest)
header_values = st.binary(max_size=80).filter(lambda value: b"\n" not in value and b"\r" not in value)


@given(callers, methods, targets)
def test_a_service_learns_exactly_whom_the_gateway_vouched_for(caller: Caller, method: str, target: bytes) -> None:
    assert SIGNER.verify(dict(SIGNER.headers_for(caller, method, target)), method, target) == caller


@given(callers, methods, targets)
def test_every_header_fits_in_one_line_of_http(caller: Caller, method: str, target: bytes) -> None:
    for name, value in SIGNER.headers_for(caller, method, target):
        assert name in IDENTITY_HEADERS
        assert all(0x20 <= byte < 0x7F for byte in value)


@given(callers, st.data())
def test_a_changed_value_of_any_header_is_refused(caller: Caller, data: st.DataObject) -> None:
    headers = dict(SIGNER.headers_for(caller, "GET", TARGET))
    name = data.draw(st.sampled_from(sorted(headers)))
    value = data.draw(header_values)
    assume(value != headers[name])
    with pytest.raises(LoginRequired):
        SIGNER.verify({**headers, name: value}, "GET", TARGET)


@given(callers, st.data())
def test_a_missing_header_is_refused(caller: Caller, data: st.DataObject) -> None:
    headers = dict(SIGNER.headers_for(caller, "GET", TARGET))
    del headers[data.draw(st.sampled_from(sorted(headers)))]
    with pytest.raises(LoginRequired):
        SIGNER.verify(headers, "GET", TARGET)


@given(callers, methods, targets, methods, targets)
def test_another_method_or_target_is_refused(
    caller: Caller, method: str, target: bytes, other_method: str, other_target: bytes
) -> None:
    assume((method, target) != (other_method, other_target))
    headers = dict(SIGNER.headers_for(caller, method, target))
    with pytest.raises(LoginRequired):
        SIGNER.verify(headers, other_method, other_target)


@given(callers)
def test_another_key_is_refused(caller: Caller) -> None:
    headers = dict(IdentitySigner(KEY[::-1]).headers_for(caller, "GET", TARGET))
    with pytest.raises(LoginRequired):
        SIGNER.verify(headers, "GET", TARGET)


def test_the_query_is_part_of_what_is_signed() -> None:
    headers = dict(SIGNER.headers_for(USER, "GET", b"/bookings?page=0"))
    for target in (b"/bookings", b"/bookings?", b"/bookings?page=1", b"/bookings?page=0&page=1"):
        with pytest.raises(LoginRequired):
            SIGNER.verify(headers, "GET", target)


def test_a_user_cannot_be_turned_into_a_service_nor_back() -> None:
    as_user = dict(SIGNER.headers_for(USER, "GET", TARGET))
    with pytest.raises(LoginRequired):
        SIGNER.verify({**as_user, SERVICE: b"order-service"}, "GET", TARGET)
    as_service = dict(SIGNER.headers_for(Service("7"), "GET", TARGET))
    name = as_service.pop(SERVICE)
    with pytest.raises(LoginRequired):
        SIGNER.verify({**as_service, USER_ID: name, EMAIL: b"a", ROLE: b"ROLE_MANAGER"}, "GET", TARGET)


def test_headers_without_any_identity_name_nobody() -> None:
    assert SIGNER.verify({b"host": b"here", b"authorization": b"Bearer x"}, "GET", TARGET) is None


@pytest.mark.parametrize("age", [-MAX_AGE_SECONDS - 2, MAX_AGE_SECONDS + 2])
def test_a_signature_of_another_time_is_refused(age: int, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = dict(SIGNER.headers_for(USER, "GET", TARGET))
    now = time.time()
    monkeypatch.setattr("common.identity.time.time", lambda: now + age)
    with pytest.raises(LoginRequired):
        SIGNER.verify(headers, "GET", TARGET)


def test_a_signature_is_good_for_the_time_that_a_request_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = dict(SIGNER.headers_for(USER, "GET", TARGET))
    now = time.time()
    monkeypatch.setattr("common.identity.time.time", lambda: now + MAX_AGE_SECONDS - 2)
    assert SIGNER.verify(headers, "GET", TARGET) == USER


@pytest.mark.parametrize(
    "forged", [b"", b"now", b"-1", b"1e9", b"inf", b"nan", b"9" * 400, b"-" + b"9" * 400, b"9" * 5000]
)
def test_a_time_that_is_none_is_refused(forged: bytes) -> None:
    headers = dict(SIGNER.headers_for(USER, "GET", TARGET))
    with pytest.raises(LoginRequired):
        SIGNER.verify({**headers, TIME: forged}, "GET", TARGET)


@pytest.mark.parametrize("forged", [b"", b"0", b"\xff" * 64, b"0" * 64])
def test_a_made_up_signature_is_refused(forged: bytes) -> None:
    headers = dict(SIGNER.headers_for(USER, "GET", TARGET))
    with pytest.raises(LoginRequired):
        SIGNER.verify({**headers, SIGNATURE: forged}, "GET", TARGET)


def as_caller(caller: Caller | None, question: str, *arguments: object) -> object:
    """The outcome of one of the ``require_…`` questions while ``caller`` is served."""

    def ask() -> object:
        identity.set_caller(caller)
        try:
            return getattr(identity, question)(*arguments)
        except (LoginRequired, NotAuthorized) as refusal:
            return type(refusal)

    return copy_context().run(ask)


def test_who_may_do_what() -> None:
    manager, service = User(1, "m@example.com", Role.MANAGER), Service("order-service")

    assert as_caller(USER, "require_user") == USER
    assert as_caller(None, "require_user") is LoginRequired
    assert as_caller(service, "require_user") is NotAuthorized

    assert as_caller(manager, "require_role", Role.MANAGER) == manager
    assert as_caller(USER, "require_role", Role.MANAGER) is NotAuthorized
    assert as_caller(None, "require_role", Role.MANAGER) is LoginRequired
    assert as_caller(service, "require_role", Role.MANAGER) is NotAuthorized

    assert as_caller(USER, "require_self_or_manager", 7) == USER
    assert as_caller(USER, "require_self_or_manager", 8) is NotAuthorized
    assert as_caller(manager, "require_self_or_manager", 7) == manager
    assert as_caller(None, "require_self_or_manager", 7) is LoginRequired

    assert as_caller(service, "require_service") == service
    assert as_caller(manager, "require_service") is NotAuthorized


def test_only_a_person_is_written_into_created_by() -> None:
    assert as_caller(USER, "current_user_id") == 7
    assert as_caller(Service("order-service"), "current_user_id") is None
    assert as_caller(None, "current_user_id") is None
