"""The type of the fixture ``in_service``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from order.resources import Resources

InService = Callable[[Callable[[Resources], Awaitable[Any]]], Any]
"""Runs work with the service's resources, opened and closed around it; gives what the work returns."""
