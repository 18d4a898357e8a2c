"""The widget's pages: for browsers, open to everybody, and no part of the API's document."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.errors import NotFound
from common.language import current_language
from order.resources import resources
from order.widget import WidgetPage

router = APIRouter(prefix="/widget", include_in_schema=False)


@router.get("/{page}")
async def get_widget_page(request: Request, page: str) -> Response:
    """One of the pages, in the language that the browser prefers."""
    if page not in list(WidgetPage):
        raise NotFound
    body, headers = resources(request).widget.page(WidgetPage(page), current_language())
    return Response(body, headers=dict(headers))
