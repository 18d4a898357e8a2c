"""Who may do what: every call, by every kind of caller, with input that is otherwise right."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest

from common.identity import Role
from tests.contract.calls import BETWEEN_SERVICES, FOR_PEOPLE, Call
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


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("call", [*FOR_PEOPLE, *BETWEEN_SERVICES], ids=str)
def test_a_call_is_open_to_whom_the_contract_names(call: Call, who: str, make: Maker, cast: Cast) -> None:
    venue = make.venue()
    concert = make.concert(cast.seller.api)
    schedule = make.schedule(concert, venue)
    ids = {
        "concert": concert["id"], "schedule": schedule["id"], "venue": venue["id"],
        "user": cast.user.api.user_id, "nickname": cast.user.nickname,
    }  # fmt: skip
    body = {} if call.body is None else {"json": call.body(ids)}

    answer = cast.caller(who).send(call.method, call.path.format(**ids), **body)

    assert outcome(answer) == getattr(call, who), answer.text
