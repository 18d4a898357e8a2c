"""``python -m harness.documents.describe_stage``: the documents and tables of the stage that is on the path, as JSON.

A process of its own for each stage, since package names repeat.
"""

from __future__ import annotations

import json

from harness.documents import describe_api, describe_tables
from harness.documents.description import Description

if __name__ == "__main__":
    said = Description(api=describe_api.describe_all(), tables=describe_tables.describe_all())
    print(json.dumps(said._asdict(), ensure_ascii=False))
