"""Signing up and logging in: the only calls that need no identity."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.errors import (
    DuplicateEmail,
    DuplicateNickname,
    DuplicatePhone,
    EmptyCredentials,
    WrongCredentials,
    WrongManagerCode,
    WrongSellerCode,
)
from common.openapi import NOBODY, PUBLIC, documented
from common.wire import Envelope, Nothing, ok
from user import accounts
from user.resources import resources
from user.schemas import LoginRequest, SignUpRequest

router = APIRouter(prefix="/auth", tags=[PUBLIC])

LOGIN = documented(EmptyCredentials, WrongCredentials, refuses=NOBODY) | {
    200: {
        "headers": {
            "Authorization": {
                "description": "`Bearer` and the token, which is good for an hour",
                "required": True,
                "schema": {"type": "string", "pattern": "^Bearer [^ ]+$"},
            }
        }
    }
}


@router.post(
    "/sign-up",
    response_model=Envelope[Nothing],
    responses=documented(
        WrongSellerCode, WrongManagerCode, DuplicateEmail, DuplicateNickname, DuplicatePhone, refuses=NOBODY
    ),
)
async def sign_up(request: Request, body: SignUpRequest) -> Response:
    """Opens an account."""
    await accounts.sign_up(resources(request), body)
    return ok()


@router.post("/login", response_model=Envelope[Nothing], responses=LOGIN)
async def login(request: Request, body: LoginRequest) -> Response:
    """Gives a token, in the response's ``Authorization`` header."""
    token = await accounts.login(resources(request), body)
    response = ok()
    response.headers["authorization"] = f"Bearer {token}"
    return response
