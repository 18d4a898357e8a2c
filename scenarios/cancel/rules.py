"""Seed data and audit of cancellation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenarios.audits.payments import every_payment_is_backed
from scenarios.audits.refunds import canceled_and_refunded_once, refund_courses, refund_done_ms, settle
from scenarios.dataset import booking_owners
from scenarios.model import Audited, CellState


def prepare(state: CellState) -> Mapping[str, Any]:
    """The owner of each seeded booking, as a number among the load's users; booking ids count from 1."""
    return {"owners": booking_owners(state.dataset)}


def audit(state: CellState) -> Audited:
    """Every accepted cancellation ends canceled, with exactly one refund at the provider."""
    settle(state)
    findings = [*canceled_and_refunded_once(state), every_payment_is_backed(state)]
    return Audited(findings, refund_done_ms(state), refund_courses(state))
