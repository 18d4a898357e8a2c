"""Waiting for what another request, or another instance, is doing: by looking at the database until it is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from common.errors import ServiceUnavailable
from common.statements import Row, Rows
from order.resources import Resources

_PERIOD_SECONDS = 0.05


async def until_settled(
    resources: Resources, row: Rows, parameters: Mapping[str, Any], settled: Callable[[Row], bool]
) -> None:
    """Returns once ``settled`` says so of the row; gives up after as long as the payment provider may take.

    Raises:
        ServiceUnavailable: it has taken too long.
    """
    deadline = time.monotonic() + resources.settings.provider_seconds
    while time.monotonic() < deadline:
        found = await resources.database.row(row, **parameters)
        if found is not None and settled(found):
            return
        await asyncio.sleep(_PERIOD_SECONDS)
    raise ServiceUnavailable("what another request began has not ended in time")
