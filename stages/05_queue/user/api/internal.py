"""What other services ask of user-service; their answers have no envelope."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from common.errors import UserNotFound
from common.openapi import INTERNAL, documented, services_only
from common.wire import Id, Text, bare
from user import accounts
from user.resources import resources
from user.schemas import UserView

router = APIRouter(prefix="/users", tags=[INTERNAL], dependencies=[services_only()])


@router.get("/{userId}", response_model=UserView, responses=documented(UserNotFound))
async def get_user(request: Request, user_id: Annotated[Id, Path(alias="userId")]) -> Response:
    """One user."""
    return bare(await accounts.one(resources(request), user_id))


@router.get("/{nickname}/nickname", response_model=list[UserView], responses=documented())
async def list_users_by_nickname(request: Request, nickname: Annotated[Text, Path()]) -> Response:
    """The users whose nickname contains the word."""
    return bare(await accounts.with_nickname_containing(resources(request), nickname))
