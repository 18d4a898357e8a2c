"""``docs/api/README.md``: the calls at a glance, who may make them, and what each may refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import common.errors
from common.errors import PlatformError
from common.language import Language

# Package to the document of its service.
Documents = Mapping[str, Mapping[str, Any]]

_HEAD = """\
# HTTP API

Made from the code by `uv run python -m harness documents write`; CI checks that it is true, and `tests/schemas/` that
the running services do nothing else. OpenAPI 3.1, for any viewer, client generator or API workbench:

- [`gateway.json`](gateway.json): what clients use. Everything behind the gateway (port 12011), paths with the service's
  name in front.
- [`user.json`](user.json), [`concert.json`](concert.json), [`order.json`](order.json): each service as the gateway and
  the other services find it, with the service-to-service calls.

The payment provider simulator speaks Toss Payments' API, not the platform's: [its own
page](../../payment_simulator/README.md) describes it. The widget's pages (`/order-service/widget/…`) are for browsers,
and `/health` and `/metrics` for operators.

```
curl -si localhost:12011/user-service/auth/login -H 'Content-Type: application/json' \\
    -d '{"email": "fan@example.com", "password": "Passw0rd!"}' | grep -i ^authorization
curl -s localhost:12011/concert-service/concerts?size=5 -H "Authorization: Bearer $TOKEN" -H 'Accept-Language: en'
```

## Answers

`{"code": 0, "message": "정상 처리 되었습니다.", "data": …}`, but for service-to-service calls, which answer without
that envelope. A refusal has its `code`, and `data` is `{}`, or a list of `{field, message}` for code 1001. Clients
decide by `code`. Every answer has an `X-Request-Id`, by which the logs name the request.

Not repeated below: calls with input may answer 400 with 1001, and 413 if there is too much of it; calls that need a
login 401 with 2001; any call 503 with 5000 and `Retry-After`. A path that does not exist is 404 with 1002, another
method of one that does 405 with 1002. 500 with 1003 is a defect.
"""

_COMMON = frozenset({(400, 1001), (413, 1001), (401, 2001), (503, 5000)})


def readme(described: Mapping[str, Documents]) -> str:
    """The page; ``described`` is stage id to its documents, the last of which are exported."""
    parts = [_HEAD, "## Calls\n"]
    for document in list(described.values())[-1].values():
        parts.append(f"### {document['info']['title']}\n")
        parts.append(_table(["call", "", "who", "may refuse with"], _calls(document)))
    parts += ["## Codes\n", _table(["code", "HTTP", "meaning"], _codes())]
    parts += ["## Stages\n", _STAGES.format(list(described)[-1]), *_changes(described)]
    return "\n".join(parts)


_STAGES = """\
The contract is the same in every stage, so one set of documents is enough: that of the last, `{}`. A client
that was written for one stage works with all of them. What each states otherwise than the one before it:
"""


def _table(head: list[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:], ""])


def _calls(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            who = _who(operation.get("security", document["security"]))
            own = sorted(refusals(operation, document) - _COMMON)
            yield f"{method.upper()} `{path}`", operation["description"].partition("\n")[0], who, _by_status(own)


def _who(security: list[dict[str, list[str]]]) -> str:
    if not security:
        return "everybody"
    if "service" in security[0]:
        return "services"
    roles = [role.removeprefix("ROLE_").lower() for alternative in security for role in alternative["bearer"]]
    return ", ".join(roles) or "logged in"


def _by_status(refusals: list[tuple[int, int]]) -> str:
    grouped = groupby(refusals, key=itemgetter(0))
    return "; ".join(f"{status}: {', '.join(str(code) for _, code in pairs)}" for status, pairs in grouped)


def refusals(operation: Mapping[str, Any], document: Mapping[str, Any]) -> set[tuple[int, int]]:
    """HTTP status and code of every error that a call of ``document`` states."""
    examples = document["components"]["examples"]
    return {
        (int(status), examples[name]["value"]["code"])
        for status, response in operation["responses"].items()
        for name in response["content"]["application/json"].get("examples", ())
    }


def _codes() -> Iterator[tuple[str, ...]]:
    errors = {
        (error.code, error.status, error.messages[Language.ENGLISH])
        for error in _tree(PlatformError)
        if error.__module__ == common.errors.__name__
    }
    for code, status, meaning in sorted(errors):
        yield str(code), str(status), meaning


def _tree(error: type[PlatformError]) -> Iterator[type[PlatformError]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)


def _changes(described: Mapping[str, Documents]) -> Iterator[str]:
    before: Mapping[str, Any] | None = None
    for stage, documents in described.items():
        parts = _parts(documents)
        if before is None:
            yield f"- `{stage}`: as above."
        else:
            new = [f"new: {name}" for name in parts if name not in before]
            gone = [f"gone: {name}" for name in before if name not in parts]
            other = [f"changed: {name}" for name in parts if before.get(name, parts[name]) != parts[name]]
            yield f"- `{stage}`: " + ("; ".join(new + gone + other) or "the same") + "."
        before = parts
    yield ""


def _parts(documents: Documents) -> dict[str, Any]:
    """Calls and models by what a reader would call them."""
    calls = {
        f"{method.upper()} `{path}` of {document['info']['title']}": operation
        for document in documents.values()
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    models = {
        f"model `{name}`": schema
        for document in documents.values()
        for name, schema in document["components"]["schemas"].items()
    }
    return {**calls, **models}
