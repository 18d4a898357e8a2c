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
from common.openapi import PUBLIC, documented
from common.wire import Envelope, Nothing, ok
from user import accounts
from user.resources import resources
from user.schemas import LoginRequest, SignUpRequest

router = APIRouter(prefix="/auth", tags=[PUBLIC])


@router.post(
    "/sign-up",
    response_model=Envelope[Nothing],
    responses=documented(WrongSellerCode, WrongManagerCode, DuplicateEmail, DuplicateNickname, DuplicatePhone),
)
async def sign_up(request: Request, body: SignUpRequest) -> Response:
    """Opens an account."""
    await accounts.sign_up(resources(request), body)
    return ok()


@router.post("/login", response_model=Envelope[Nothing], responses=documented(EmptyCredentials, WrongCredentials))
async def login(request: Request, body: LoginRequest) -> Response:
    """Gives a token, in the response's ``Authorization`` header."""
    token = await accounts.login(resources(request), body)
    response = ok()
    response.headers["authorization"] = f"Bearer {token}"
    return response
