"""What a sign-up, a login and a profile must look like, and which role a sign-up gets."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from common.errors import WrongManagerCode, WrongSellerCode
from common.identity import Role
from user.accounts import claimed_role
from user.schemas import LoginRequest, ProfileRequest, SignUpRequest
from user.settings import UserSettings

GOOD = {"nickname": "fan1", "email": "fan@example.com", "password": "Passw0rd!", "phone": "0101234567"}


def sign_up(**changes: Any) -> SignUpRequest:
    return SignUpRequest.model_validate({**GOOD, **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"nickname": "abcd"},
        {"nickname": "a1b2c3d4e5"},
        {"password": "aA1@$!%*?&"},
        {"password": "Abcdefghijkl1!x"},
        {"phone": "01012345678"},
        {"email": "first.last+tag@sub.example.co.kr"},
        {"profileImage": ""},
        {"profileImage": None},
        {"profileImage": "https://images.example/a/b.PNG"},
        {"profileImage": "http://images.example/a.jpeg?size=2"},
        {"sellerToken": None},
        {"somethingElse": 1},
    ],
)
def test_accepted(change: dict[str, Any]) -> None:
    sign_up(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"nickname": "abc"},
        {"nickname": "abcdefghijk"},
        {"nickname": "Abcd"},
        {"nickname": "한글이름"},
        {"nickname": "abcd\n"},
        {"nickname": None},
        {"nickname": 1234},
        {"password": "aA1!567"},
        {"password": "aA1!5678901234567"},
        {"password": "passw0rd!"},
        {"password": "PASSW0RD!"},
        {"password": "Password!"},
        {"password": "Passw0rdd"},
        {"password": "Passw0rd!#"},
        {"password": "Passw0rd !"},
        {"password": "Passw0rd!é"},
        {"password": "Passw0rd!\n"},
        {"password": 12345678},
        {"phone": "010123456"},
        {"phone": "010123456789"},
        {"phone": "010-1234-567"},
        {"phone": "٠١٢٣٤٥٦٧٨٩"},
        {"email": ""},
        {"email": "fan"},
        {"email": "fan@"},
        {"email": "fan@exa mple.com"},
        {"email": "fan@example.com\x00"},
        {"email": "fan\ud800@example.com"},
        {"email": "f" * 250 + "@e.co"},
        {"profileImage": "ftp://images.example/a.png"},
        {"profileImage": "javascript:alert(1)//a.png"},
        {"profileImage": "https://images.example/a.gif"},
        {"profileImage": "https://images.example/a b.png"},
        {"profileImage": "https:///a.png"},
        {"profileImage": "https://images.example/" + "a" * 2048 + ".png"},
        {"isSeller": "true"},
        {"isManager": 1},
        {"sellerToken": 5},
        {"sellerToken": "\ud800"},
    ],
)
def test_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        sign_up(**change)
    assert {problem["loc"][0] for problem in refused.value.errors()} == set(change)


@pytest.mark.parametrize("missing", list(GOOD))
def test_every_required_field_is_required(missing: str) -> None:
    with pytest.raises(ValidationError):
        SignUpRequest.model_validate({field: value for field, value in GOOD.items() if field != missing})


def test_emails_are_compared_without_case() -> None:
    assert sign_up(email=" Fan@Example.COM ").email == "fan@example.com"
    assert LoginRequest.model_validate({"email": "FAN@example.com"}).email == "fan@example.com"


def test_a_login_may_lack_everything_so_that_the_answer_can_be_2003() -> None:
    for body in ({}, {"email": None, "password": None}, {"email": "", "password": ""}):
        request = LoginRequest.model_validate(body)
        assert (request.email, request.password.get_secret_value()) == ("", "")


def test_passwords_are_in_no_log_line() -> None:
    request = sign_up(sellerToken="seller-code-of-the-house")
    for printed in (repr(request), str(request)):
        assert "Passw0rd!" not in printed
        assert "seller-code" not in printed


def test_a_profile_replaces_the_image_even_with_none() -> None:
    profile = ProfileRequest.model_validate({k: v for k, v in GOOD.items() if k != "email"})
    assert profile.profile_image == ""


SETTINGS = UserSettings.model_construct(seller_code=SecretStr("판매"), manager_code=SecretStr("manage"))


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({}, Role.USER),
        ({"sellerToken": "판매", "managerToken": "manage"}, Role.USER),
        ({"isSeller": True, "sellerToken": "판매"}, Role.SELLER),
        ({"isManager": True, "managerToken": "manage"}, Role.MANAGER),
        ({"isSeller": True, "isManager": True, "managerToken": "manage"}, Role.MANAGER),
    ],
)
def test_a_role_comes_with_its_code(claims: dict[str, Any], role: Role) -> None:
    assert claimed_role(SETTINGS, sign_up(**claims)) is role


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"isSeller": True}, WrongSellerCode),
        ({"isSeller": True, "sellerToken": ""}, WrongSellerCode),
        ({"isSeller": True, "sellerToken": "manage"}, WrongSellerCode),
        ({"isManager": True}, WrongManagerCode),
        ({"isManager": True, "managerToken": "판매"}, WrongManagerCode),
        ({"isSeller": True, "sellerToken": "판매", "isManager": True}, WrongManagerCode),
    ],
)
def test_no_role_without_its_code(claims: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        claimed_role(SETTINGS, sign_up(**claims))
