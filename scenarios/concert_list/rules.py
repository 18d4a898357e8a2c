"""Seed data and audit of the concert list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from scenarios.audits.verdicts import finding
from scenarios.model import Audited, CellState

PAGE_SIZE = 20


def prepare(state: CellState) -> Mapping[str, Any]:
    """How many pages there are."""
    return {"pages": -(-state.dataset.concerts // PAGE_SIZE), "size": PAGE_SIZE}


def audit(state: CellState) -> Audited:
    """Every page that a client kept is the page that the database has."""
    with psycopg.connect(state.database_urls["concert"]) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM concerts WHERE NOT is_deleted ORDER BY id")]
    problems = []
    for answer in state.answers:
        query = parse_qs(urlsplit(answer.path).query)
        start = int(query["page"][0]) * PAGE_SIZE
        page = json.loads(answer.body)["data"]
        if [concert["id"] for concert in page["content"]] != ids[start : start + PAGE_SIZE]:
            problems.append(f"{answer.path}: other concerts than the database has")
        elif page["totalElements"] != len(ids):
            problems.append(f"{answer.path}: totalElements {page['totalElements']}, the database has {len(ids)}")
    return Audited([finding("answers_match_database", problems, checked=len(state.answers))])
