"""What user-service does: accounts are opened, proved, read and changed."""

from __future__ import annotations

import hmac

from pydantic import SecretStr
from sqlalchemy import bindparam, select

from common import identity
from common.database import violations_as
from common.errors import (
    DuplicateEmail,
    DuplicateNickname,
    DuplicatePhone,
    EmptyCredentials,
    UserNotFound,
    WrongCredentials,
    WrongManagerCode,
    WrongSellerCode,
)
from common.identity import Role
from common.tokens import issue_token
from user.models import User
from user.resources import Resources
from user.schemas import LoginRequest, ProfileRequest, SignUpRequest, UserView
from user.settings import UserSettings

_ALL = (
    select(User.id.label("user_id"), User.nickname, User.email, User.phone, User.profile_image)
    .where(~User.is_deleted)
    .order_by(User.id)
)
_BY_ID = _ALL.where(User.id == bindparam("user_id"))
_LOGIN = select(User.id, User.email, User.role, User.password_hash).where(
    User.email == bindparam("email"), ~User.is_deleted
)

_DUPLICATES = {
    "uq_users_email": DuplicateEmail,
    "uq_users_nickname": DuplicateNickname,
    "uq_users_phone": DuplicatePhone,
}


async def sign_up(resources: Resources, request: SignUpRequest) -> None:
    """Opens an account.

    Raises:
        WrongSellerCode, WrongManagerCode: the role is claimed without its code.
        DuplicateEmail, DuplicateNickname, DuplicatePhone: somebody else has it.
    """
    role = claimed_role(resources.settings, request)
    password_hash = await resources.passwords.hash(request.password.get_secret_value())
    user = User(
        email=request.email,
        nickname=request.nickname,
        phone=request.phone,
        profile_image=request.profile_image,
        password_hash=password_hash,
        role=role.value,
    )
    with violations_as(_DUPLICATES):
        async with resources.database.session() as session:
            session.add(user)


def claimed_role(settings: UserSettings, request: SignUpRequest) -> Role:
    """The role that a sign-up asks for and proves; manager before seller.

    Raises:
        WrongSellerCode, WrongManagerCode: the code is not the configured one.
    """
    if request.is_manager:
        if not _same(request.manager_token, settings.manager_code):
            raise WrongManagerCode
        return Role.MANAGER
    if request.is_seller:
        if not _same(request.seller_token, settings.seller_code):
            raise WrongSellerCode
        return Role.SELLER
    return Role.USER


def _same(offered: SecretStr, expected: SecretStr) -> bool:
    return hmac.compare_digest(offered.get_secret_value().encode(), expected.get_secret_value().encode())


async def login(resources: Resources, request: LoginRequest) -> str:
    """A token for who knows the email and its password.

    Raises:
        EmptyCredentials: one of the two is missing.
        WrongCredentials: they do not belong together; which of them is wrong is not told, nor by the time it takes.
    """
    password = request.password.get_secret_value()
    if not request.email or not password:
        raise EmptyCredentials
    found = await resources.database.row(_LOGIN, email=request.email)
    if not await resources.passwords.matches(password, found.password_hash if found else None) or found is None:
        raise WrongCredentials
    user = identity.User(found.id, found.email, Role(found.role))
    return issue_token(user, resources.settings.jwt_secret.get_secret_value())


async def change(resources: Resources, user_id: int, request: ProfileRequest) -> None:
    """Replaces nickname, password, phone and image of a user.

    Raises:
        UserNotFound: there is no such user.
        DuplicateNickname, DuplicatePhone: somebody else has it.
    """
    password_hash = await resources.passwords.hash(request.password.get_secret_value())
    with violations_as(_DUPLICATES):
        async with resources.database.session() as session:
            user: User | None = await session.scalar(select(User).where(User.id == user_id, ~User.is_deleted))
            if user is None:
                raise UserNotFound
            user.nickname = request.nickname
            user.phone = request.phone
            user.profile_image = request.profile_image
            user.password_hash = password_hash


async def one(resources: Resources, user_id: int) -> UserView:
    """The user with this id.

    Raises:
        UserNotFound: there is none.
    """
    users = await resources.database.views(UserView, _BY_ID, user_id=user_id)
    if not users:
        raise UserNotFound
    return users[0]


async def everybody(resources: Resources) -> list[UserView]:
    """All users, oldest account first."""
    return await resources.database.views(UserView, _ALL)


async def with_nickname_containing(resources: Resources, word: str) -> list[UserView]:
    """The users whose nickname contains ``word``: a scan, which a few thousand users afford."""
    return await resources.database.views(UserView, _ALL.where(User.nickname.icontains(word, autoescape=True)))
