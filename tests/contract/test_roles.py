"""Who may do what: every call, by every kind of caller, with input that is otherwise right.

Most of these calls change nothing, because they only read or because they are refused: they share what they are about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from common.identity import Role
from tests.contract.calls import BETWEEN_SERVICES, FOR_PEOPLE, OK, Call, Ids
from tests.contract.client import Api, outcome
from tests.contract.making import Account, Maker

CALLERS = ["nobody", "user", "seller", "other_seller", "manager"]


@dataclass(frozen=True)
class Cast:
    """One account of each kind; calls on profiles need accounts that exist."""

    nobody: Api
    user: Account
    seller: Account
    other_seller: Account
    manager: Account

    def caller(self, who: str) -> Api:
        return self.nobody if who == "nobody" else getattr(self, who).api


@pytest.fixture(scope="module")
def cast(make: Maker, http: httpx.Client) -> Cast:
    return Cast(
        Api(http),
        make.account(Role.USER),
        make.account(Role.SELLER),
        make.account(Role.SELLER),
        make.account(Role.MANAGER),
    )


@pytest.fixture(scope="module")
def new_ids(make: Maker, cast: Cast) -> Callable[[], Ids]:
    """Makes what a call is about: a concert of the seller's, in a venue of its own."""

    def made() -> Ids:
        venue, concert = make.venue(), make.concert(cast.seller.api)
        schedule = make.schedule(concert, venue)
        return {
            "concert": concert["id"], "schedule": schedule["id"], "venue": venue["id"],
            "user": cast.user.api.user_id, "nickname": cast.user.nickname,
        }  # fmt: skip

    return made


@pytest.fixture(scope="module")
def shared_ids(new_ids: Callable[[], Ids]) -> Ids:
    """For calls that change nothing."""
    return new_ids()


def writes(make: Maker) -> list[Any]:
    """How much has been written, and when last: the same as long as nobody writes."""
    query = "SELECT count(*), max(updated_at) AS updated_at, max(deleted_at) AS deleted_at FROM "
    tables = {"users": "user", "concerts": "concert", "venues": "concert", "schedules": "concert"}
    return [make.rows(package, query + table) for table, package in tables.items()]


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("call", [*FOR_PEOPLE, *BETWEEN_SERVICES], ids=str)
def test_a_call_is_open_to_whom_the_contract_names(
    call: Call, who: str, make: Maker, cast: Cast, new_ids: Callable[[], Ids], shared_ids: Ids
) -> None:
    expected = getattr(call, who)
    changes_something = call.method != "GET" and expected == OK
    ids = new_ids() if changes_something else shared_ids
    body = {} if call.body is None else {"json": call.body(ids)}
    before = writes(make)

    answer = cast.caller(who).send(call.method, call.path.format(**ids), **body)

    assert outcome(answer) == expected, answer.text
    assert (writes(make) != before) == changes_something
