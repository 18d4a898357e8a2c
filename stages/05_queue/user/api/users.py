"""What a logged-in person asks of user-service."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.errors import DuplicateNickname, DuplicatePhone, UserNotFound
from common.identity import Role, require_user
from common.openapi import STRANGERS, allow, documented
from common.wire import Envelope, Nothing, ok
from user import accounts
from user.resources import resources
from user.schemas import ProfileRequest, UserView

router = APIRouter(prefix="/users", tags=["users"])


@router.get("", response_model=Envelope[UserView], responses=documented(UserNotFound, refuses=STRANGERS))
async def get_own_profile(request: Request) -> Response:
    """The profile of who asks."""
    return ok(await accounts.one(resources(request), require_user().user_id))


@router.put(
    "",
    response_model=Envelope[Nothing],
    responses=documented(UserNotFound, DuplicateNickname, DuplicatePhone, refuses=STRANGERS),
)
async def change_own_profile(request: Request, body: ProfileRequest) -> Response:
    """Replaces nickname, password, phone and image of who asks."""
    await accounts.change(resources(request), require_user().user_id, body)
    return ok()


@router.get(
    "/all",
    response_model=Envelope[list[UserView]],
    responses=documented(),
    dependencies=[allow(Role.MANAGER)],
)
async def list_users(request: Request) -> Response:
    """Every user, for managers."""
    return ok(await accounts.everybody(resources(request)))
