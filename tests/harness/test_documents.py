"""``python -m harness documents``: drift is found, and what contradicts itself is not written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.__main__ import main
from harness.documents import api, cli, erd
from harness.documents.api import gateway_document
from harness.documents.description import describe
from harness.errors import HarnessError
from harness.stages.manifest import REPOSITORY, STAGES_ROOT, discover_stages


@pytest.fixture(scope="module")
def made() -> dict[Path, str]:
    """Every document, made anew: that takes all five stages, each in processes of its own."""
    return cli.documents()


def test_the_documents_are_up_to_date(
    made: dict[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "documents", lambda: made)
    assert main(["documents", "check"]) == 0, capsys.readouterr().err


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the documents go to instead."""
    for module in (cli, api, erd):
        monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(erd, "ERD", tmp_path / "erd.md")
    monkeypatch.setattr(api, "API", tmp_path / "api")
    return tmp_path


def test_what_was_written_is_up_to_date_until_it_is_changed(
    made: dict[Path, str], elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {elsewhere / path.relative_to(REPOSITORY / "docs"): text for path, text in made.items()}
    monkeypatch.setattr(cli, "documents", lambda: there)
    assert main(["documents", "check"]) == 1
    assert main(["documents", "write"]) == 0
    assert main(["documents", "check"]) == 0
    assert sorted(path.name for path in (elsewhere / "api").iterdir()) == [
        "README.md", "concert.json", "gateway.json", "order.json", "user.json",
    ]  # fmt: skip

    capsys.readouterr()
    changed = elsewhere / "api" / "order.json"
    changed.write_text(changed.read_text().replace("4000: ", "4009: "))
    assert main(["documents", "check"]) == 1
    assert "api/order.json" in capsys.readouterr().err

    (elsewhere / "api" / "seats.json").write_text("{}")
    assert main(["documents", "write"]) == 0
    assert main(["documents", "check"]) == 0
    assert not (elsewhere / "api" / "seats.json").exists()


def test_the_documents_are_the_same_whatever_the_order_of_sets(made: dict[Path, str]) -> None:
    """The order of a set is drawn anew in each process that is given no seed, as those were that made the others."""
    stage = discover_stages(STAGES_ROOT)[-1]
    described = describe(stage, {**os.environ, "PYTHONHASHSEED": "1"})
    again = api.api_files({stage.id: described})
    del again["README.md"]  # tells all stages apart
    assert again == {name: made[api.API / name] for name in again}


def test_one_name_for_two_things_is_refused(made: dict[Path, str]) -> None:
    documents = {name: json.loads(made[api.API / f"{name}.json"]) for name in ("user", "concert", "order")}
    schemas = documents["user"]["components"]["schemas"]
    schemas["VenueView"] = {"type": "string"}
    with pytest.raises(HarnessError, match="VenueView"):
        gateway_document(documents)
    del schemas["VenueView"]
    documents["user"]["paths"]["/users"]["get"]["operationId"] = "list_concerts"
    with pytest.raises(HarnessError, match="list_concerts"):
        gateway_document(documents)
