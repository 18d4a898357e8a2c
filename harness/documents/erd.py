"""``docs/erd.md``: the tables of every stage as diagrams, made from the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.documents.description import Description
from harness.stages.manifest import REPOSITORY

ERD = REPOSITORY / "docs" / "erd.md"

# Every table has these; drawn once each, they would hide what a table is about.
COMMON_COLUMNS = frozenset(
    {"created_at", "created_by", "updated_at", "updated_by", "is_deleted", "deleted_at", "deleted_by"}
)

_HEAD = """\
# Tables

Made from the models by `uv run python -m harness documents write`; CI checks that it is true. Each service has a
database of its own, and no service reads another's: a line between two databases does not exist. Most tables also have
`created_at`, `created_by`, `updated_at`, `updated_by`, `is_deleted`, `deleted_at` and `deleted_by`, which are left out.
"""


def erd(described: Mapping[str, Description]) -> str:
    """The text of ``docs/erd.md``: all tables of the first stage, and of each later one those that it changes."""
    parts = [_HEAD]
    before: Mapping[str, list[dict[str, Any]]] = {}
    for stage, description in described.items():
        parts.append(f"## {stage}\n")
        drawn = False
        for database, found in description.tables.items():
            changed = [table for table in found if table not in before.get(database, [])]
            if changed:
                drawn = True
                parts += [f"### {database}\n", _diagram(changed), _indexes(changed)]
        if not drawn:
            parts.append("The same tables as the stage before.\n")
        before = description.tables
    return "\n".join(parts)


def _diagram(tables: Sequence[Mapping[str, Any]]) -> str:
    lines = ["```mermaid", "erDiagram"]
    for table in tables:
        lines.append(f"    {table['name']} {{")
        lines += [
            f"        {_attribute(column)}" for column in table["columns"] if column["name"] not in COMMON_COLUMNS
        ]
        lines.append("    }")
    for table in tables:
        for column in table["columns"]:
            if column["references"]:
                some = "o|" if column["nullable"] else "||"
                lines.append(f"    {column['references']} {some}--o{{ {table['name']} : {column['name']}")
    return "\n".join([*lines, "```\n"])


def _attribute(column: Mapping[str, Any]) -> str:
    # Mermaid's types are one word.
    kind = column["type"].replace(" with time zone", "tz").replace(" without time zone", "").replace(" ", "_")
    key = " PK" if column["primary_key"] else " FK" if column["references"] else ""
    notes = "; ".join(filter(None, ["null" if column["nullable"] else "", column["comment"].replace('"', "'")]))
    return f"{kind} {column['name']}{key}" + (f' "{notes}"' if notes else "")


def _indexes(tables: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"- `{table['name']}`: " + "; ".join(f"`{index}`" for index in table["indexes"])
        for table in tables
        if table["indexes"]
    ]
    return "\n".join(["Indexes beside the primary keys:\n", *lines, ""]) if lines else ""
