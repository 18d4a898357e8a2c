"""Who may make which call of order-service, with input that is otherwise right.

Most of these calls change nothing, because they only read or because they are refused: they share one case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.identity import Role
from tests.contract.calls import LOGIN_REQUIRED, NOT_AUTHORIZED, OK
from tests.contract.client import Api, outcome
from tests.contract.making import Maker
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Shop

pytestmark = pytest.mark.unchanged_code("order/api/bookings.py", "order/api/payments.py", "order/api/seats.py")

CALLERS = ["nobody", "owner", "other_user", "seller", "other_seller", "manager"]


@dataclass(frozen=True)
class Case:
    """What a call is about."""

    ids: Mapping[str, Any]
    completion: Mapping[str, Any]


Body = Callable[[Case, Api], Any]


@dataclass(frozen=True)
class Call:
    """A call, and who may make it; everybody else is not authorized.

    Attributes:
        path: with ``{pending}`` and ``{canceled}`` bookings, ``{waiting}``, ``{paid}`` and ``{void}`` payments, the
            ``{owner}`` of all of them, and the ``{seller}`` of the show.
    """

    method: str
    path: str
    allowed: tuple[str, ...]
    body: Body | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def answer_to(self, who: str) -> tuple[int, int]:
        """Status and code."""
        return LOGIN_REQUIRED if who == "nobody" else OK if who in self.allowed else NOT_AUTHORIZED

    def changes_something(self, who: str) -> bool:
        return self.method != "GET" and self.answer_to(who) == OK


EVERYBODY = tuple(CALLERS[1:])
OWNER, OWNER_OR_MANAGER, SELLER_OR_MANAGER = ("owner",), ("owner", "manager"), ("seller", "manager")
MANAGER = ("manager",)


def _booking(case: Case, caller: Api) -> Any:
    return {"scheduleId": case.ids["schedule"], "userId": caller.user_id, "price": PRICE, "seat": ["2 2"]}


def _payment(case: Case, caller: Api) -> Any:
    return {"userId": caller.user_id, "bookingIds": [case.ids["pending"]]}


CALLS = [
    Call("POST", BOOKINGS, EVERYBODY, _booking),
    Call("POST", BOOKINGS, OWNER, lambda case, caller: _booking(case, caller) | {"userId": case.ids["owner"]}),
    Call("GET", BOOKINGS, MANAGER),
    Call("GET", BOOKINGS + "/seller/{seller}", SELLER_OR_MANAGER),
    Call("GET", BOOKINGS + "/me/{owner}", OWNER_OR_MANAGER),
    Call("GET", BOOKINGS + "/{pending}", OWNER_OR_MANAGER),
    Call("PATCH", BOOKINGS + "/cancel/{pending}", OWNER_OR_MANAGER),
    Call("DELETE", BOOKINGS + "/{canceled}", MANAGER),
    Call("GET", BOOKINGS + "/seats/{schedule}", EVERYBODY),
    Call("POST", PAYMENTS, OWNER, _payment),
    Call("PATCH", COMPLETE, OWNER, lambda case, _: case.completion),
    Call("GET", PAYMENTS, MANAGER),
    Call("GET", PAYMENTS + "/seller/{seller}", SELLER_OR_MANAGER),
    Call("GET", PAYMENTS + "/me/{owner}", OWNER_OR_MANAGER),
    Call("GET", PAYMENTS + "/{paid}", OWNER_OR_MANAGER),
    Call("PATCH", PAYMENTS + "/{paid}", OWNER_OR_MANAGER),
    Call("DELETE", PAYMENTS + "/{void}", MANAGER),
    Call("POST", BOOKINGS + "/active", (), lambda case, _: [case.ids["schedule"]]),
]


@pytest.fixture(scope="module")
def cast(make: Maker, shop: Shop) -> dict[str, Api]:
    """One caller of each kind."""
    return {
        "nobody": Api(make.http),
        "owner": make.person(),
        "other_user": make.person(),
        "seller": make.person(Role.SELLER),
        "other_seller": make.person(Role.SELLER),
        "manager": make.person(Role.MANAGER),
    }


@pytest.fixture(scope="module")
def new_case(cast: dict[str, Api], make: Maker, shop: Shop) -> Callable[[], Case]:
    """Makes one case after the other, each with a show of its own."""
    owner, seller = cast["owner"], cast["seller"]
    concert, venue = make.concert(seller, price=PRICE), make.venue()

    def made() -> Case:
        schedule = make.schedule(concert, venue)
        there = Shop(make, schedule, shop.provider)

        def booked(seat: str) -> int:
            (booking,) = owner.post(BOOKINGS, there.request(owner, [seat]))
            return int(booking["id"])

        canceled = booked("1 2")
        shop.cancel(owner, canceled)
        paid, void = there.check_out(there.payment(owner, [booked("1 3")])), there.payment(owner, [booked("1 4")])
        owner.patch(COMPLETE, paid.body)
        owner.patch(f"{PAYMENTS}/{void}", None)
        waiting = there.check_out(there.payment(owner, [booked("1 5")]))
        ids = {
            "schedule": schedule["id"], "pending": booked("1 1"), "canceled": canceled, "paid": paid.payment_id,
            "waiting": waiting.payment_id, "void": void, "owner": owner.user_id, "seller": seller.user_id,
        }  # fmt: skip
        return Case(ids, waiting.body)

    return made


@pytest.fixture(scope="module")
def shared_case(new_case: Callable[[], Case]) -> Case:
    """For calls that change nothing."""
    return new_case()


def written(make: Maker, case: Case) -> list[list[dict[str, Any]]]:
    """All that is stored of the case's show."""
    return [
        make.rows("order", f"SELECT * FROM {table} WHERE schedule_id = %s ORDER BY id", case.ids["schedule"])
        for table in ("bookings", "payments")
    ]


def ask(call: Call, who: str, cast: dict[str, Api], case: Case) -> tuple[int, int]:
    caller = cast[who]
    content = {} if call.body is None else {"json": call.body(case, cast["owner"] if who == "nobody" else caller)}
    return outcome(caller.send(call.method, call.path.format(**case.ids), **content))


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_call_is_open_to_whom_the_contract_names(
    call: Call, who: str, cast: dict[str, Api], make: Maker, new_case: Callable[[], Case], shared_case: Case
) -> None:
    case = new_case() if call.changes_something(who) else shared_case
    before = written(make, case)
    assert ask(call, who, cast, case) == call.answer_to(who)
    assert (written(make, case) != before) == call.changes_something(who)
