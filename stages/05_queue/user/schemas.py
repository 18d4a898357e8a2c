"""What user-service takes and gives on the wire."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from common.wire import RequestModel, Text, WireModel

# What <input type="email"> accepts (HTML Living Standard, "Valid email address").
_EMAIL = (
    r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"
)
_PASSWORD = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[@$!%*?&])[A-Za-z0-9@$!%*?&]{8,15}")
_IMAGE_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*\.(?:jpe?g|png)(?:\?[^\s#]*)?", re.IGNORECASE)


def _strong(password: SecretStr) -> SecretStr:
    if not _PASSWORD.fullmatch(password.get_secret_value()):
        raise ValueError("must be 8-15 of A-Z a-z 0-9 @$!%*?& with a lower, an upper, a digit and a special character")
    return password


def _image_url(url: str) -> str:
    if url and not _IMAGE_URL.fullmatch(url):
        raise ValueError("must be an http(s) URL of a jpg or png image, or empty")
    return url


def _encodable(secret: SecretStr) -> SecretStr:
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError as half_a_surrogate_pair:
        raise ValueError("must be valid Unicode") from half_a_surrogate_pair
    return secret


def _empty_if_null(value: object) -> object:
    return "" if value is None else value


Email = Annotated[Text, StringConstraints(max_length=254, pattern=_EMAIL, to_lower=True)]
Nickname = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{4,10}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^[0-9]{10,11}$")]
Password = Annotated[SecretStr, AfterValidator(_strong)]
ImageUrl = Annotated[
    Text,
    Field(max_length=2048),
    BeforeValidator(_empty_if_null, json_schema_input_type=Annotated[Text, Field(max_length=2048)] | None),
    AfterValidator(_image_url),
]
Credential = Annotated[
    SecretStr, BeforeValidator(_empty_if_null, json_schema_input_type=SecretStr | None), AfterValidator(_encodable)
]


class ProfileRequest(RequestModel):
    """What a person says about themselves."""

    nickname: Nickname
    password: Password
    phone: Phone
    profile_image: ImageUrl = ""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "nickname": "ticketfan", "password": "Passw0rd!", "phone": "01012345678",
                "profileImage": "https://images.example/fan.png",
            }
        }
    )  # fmt: skip


class SignUpRequest(ProfileRequest):
    """A new account; seller and manager need their code. Who claims both is taken for a manager."""

    email: Email
    is_seller: bool = False
    is_manager: bool = False
    seller_token: Credential = SecretStr("")
    manager_token: Credential = SecretStr("")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "nickname": "ticketfan", "email": "fan@example.com", "password": "Passw0rd!", "phone": "01012345678",
            }
        }
    )  # fmt: skip


class LoginRequest(RequestModel):
    """Missing, null and empty are one thing here: error 2003, not 1001."""

    email: Annotated[
        Text,
        StringConstraints(to_lower=True),
        BeforeValidator(_empty_if_null, json_schema_input_type=Text | None),
    ] = ""
    password: Credential = SecretStr("")

    model_config = ConfigDict(json_schema_extra={"example": {"email": "fan@example.com", "password": "Passw0rd!"}})


class UserView(WireModel):
    """A user as others see them."""

    user_id: int
    nickname: str
    email: str
    phone: str
    profile_image: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "userId": 3, "nickname": "ticketfan", "email": "fan@example.com", "phone": "01012345678",
                "profileImage": "https://images.example/fan.png",
            }
        }
    )  # fmt: skip
