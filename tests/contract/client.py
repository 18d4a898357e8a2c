"""A client of the platform that knows the envelope: every answer it looks at has the contract's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from common.identity import User
from common.tokens import issue_token
from tests.polling import until

KOREAN_SUCCESS = "정상 처리 되었습니다."


def envelope(response: httpx.Response) -> Any:
    """The envelope of ``response``, once its shape has been checked."""
    assert response.headers["content-type"].partition(";")[0] == "application/json", response.text
    content: dict[str, Any] = response.json()
    assert list(content) == ["code", "message", "data"], response.text
    assert type(content["code"]) is int, response.text
    assert isinstance(content["message"], str), response.text
    assert content["message"], response.text
    assert (content["code"] == 0) == (response.status_code in (200, 202)), response.text
    return content


def outcome(response: httpx.Response) -> tuple[int, int]:
    """HTTP status and code."""
    return response.status_code, envelope(response)["code"]


def succeeded(response: httpx.Response) -> Any:
    """The data of an answer that must be a success."""
    assert outcome(response) == (200, 0), response.text
    return envelope(response)["data"]


def refused(response: httpx.Response, status: int, code: int) -> Any:
    """The data of an answer that must be this error: a list of problems for invalid input, else ``{}``."""
    assert outcome(response) == (status, code), response.text
    data = envelope(response)["data"]
    if code == 1001:
        assert isinstance(data, list), response.text
        assert data, response.text
        for problem in data:
            assert sorted(problem) == ["field", "message"], response.text
            assert all(isinstance(text, str) and text for text in problem.values()), response.text
    else:
        assert data == {}, response.text
    return data


class Api:
    """One caller at the gateway: a person with a token, or nobody."""

    follows_tickets = True

    def __init__(self, http: httpx.Client, user: User | None = None, secret: str = "") -> None:
        self.http = http
        self.user = user
        self.token = "" if user is None else issue_token(user, secret)

    @property
    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def user_id(self) -> int:
        assert self.user is not None
        return self.user.user_id

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
        **request: Any,
    ) -> httpx.Response:
        """The answer, whatever it is; ``request`` as httpx takes it (``json``, ``params``, ``content``).

        A request that was queued is answered, as its sender sees it, by what its ticket ends in.
        """
        sent = httpx.Headers(self._bearer)
        sent.update(headers)
        answer = self.http.request(method, path, headers=sent, **request)
        if self.follows_tickets and answer.status_code == 202 and "x-random-uuid" in answer.headers:
            return self._end_of(answer)
        return answer

    def _end_of(self, queued: httpx.Response) -> httpx.Response:
        place: dict[str, Any] = {}

        def has_ended() -> bool:
            place.update(succeeded(self.http.get(queued.headers["location"], headers=self._bearer)))
            return place["status"] not in ("WAITING", "PROCESSING")

        assert until(has_ended), place
        assert place["status"] == "DONE", place
        result = place["result"]
        return httpx.Response(result["httpStatus"], json=result["body"])

    def get(self, path: str, **request: Any) -> Any:
        """The data of a successful GET."""
        return succeeded(self.send("GET", path, **request))

    def post(self, path: str, json: Any, **request: Any) -> Any:
        """The data of a successful POST."""
        return succeeded(self.send("POST", path, json=json, **request))

    def put(self, path: str, json: Any) -> Any:
        """The data of a successful PUT."""
        return succeeded(self.send("PUT", path, json=json))

    def patch(self, path: str, json: Any) -> Any:
        """The data of a successful PATCH."""
        return succeeded(self.send("PATCH", path, json=json))

    def delete(self, path: str) -> Any:
        """The data of a successful DELETE."""
        return succeeded(self.send("DELETE", path))

    def refused(self, status: int, code: int, method: str, path: str, **request: Any) -> Any:
        """The data of an answer that must be this error."""
        return refused(self.send(method, path, **request), status, code)
