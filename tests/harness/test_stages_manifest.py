"""stage.toml: what a good one gives, and the sentence that each bad one gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.errors import HarnessError
from harness.stages.manifest import ManifestError, Stage, discover_stages, find_stage, load_stage

GOOD = """\
id = "02_cache"
previous = "01_baseline"
title = "Redis cache"
improvement = "Concert pages come from Redis."
infrastructure = ["postgres", "redis"]

[[hypothesis]]
id = "cache-list"
scenario = "concert_list"
metric = "throughput"
against = "01_baseline"
at_least = 5
why = "No query, no serialization."

[services.gateway]
[services.user]
[services.concert]
[services.order]
replicas = 2

[workers.cancellation]
module = "order.cancellation_consumer"

[changes]
added = ["concert/cache.py"]
modified = ["concert/api/concerts.py"]
removed = ["concert/old.py"]

[[known_defect]]
rule = "seat_sold_once"
scenario = "one_seat"
description = "Sells a seat twice."
"""


def _written(root: Path, name: str, text: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stage.toml").write_text(text)
    return folder


def test_a_good_manifest_is_read_whole(tmp_path: Path) -> None:
    folder = _written(tmp_path, "02_cache", GOOD)
    stage = load_stage(folder)
    assert stage == load_stage(folder / "stage.toml")
    assert (stage.id, stage.number, stage.previous, stage.title) == ("02_cache", 2, "01_baseline", "Redis cache")
    assert stage.folder == folder.resolve()
    assert stage.infrastructure == {"postgres", "redis"}
    assert {name: spec.replicas for name, spec in stage.services.items()} == {
        "gateway": 1,
        "user": 1,
        "concert": 1,
        "order": 2,
    }
    worker = stage.workers["cancellation"]
    assert (worker.module, worker.package, worker.replicas) == ("order.cancellation_consumer", "order", 1)
    (hypothesis,) = stage.hypotheses
    assert (hypothesis.metric, hypothesis.at_least, hypothesis.at_most) == ("throughput", 5.0, None)
    assert stage.changes.named == {
        "concert/cache.py": "added",
        "concert/api/concerts.py": "modified",
        "concert/old.py": "removed",
    }
    assert stage.known_defects[0].rule == "seat_sold_once"


def test_a_stage_cannot_be_changed(tmp_path: Path) -> None:
    stage = load_stage(_written(tmp_path, "02_cache", GOOD))
    with pytest.raises(ValidationError, match="frozen"):
        stage.title = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('title = "Redis cache"', "", 'key "title" is missing'),
        ("title =", "titel =", 'unknown key "titel", did you mean "title"'),
        ("at_least", "at_leest", 'unknown key "hypothesis[1].at_leest", did you mean "at_least"'),
        ('title = "Redis cache"', "title = 3", "title must be text in quotes; found 3"),
        ('title = "Redis cache"', 'title = ""', "title must be one line of text"),
        ('title = "Redis cache"', 'title = "x"\nfolder = "/"', 'unknown key "folder"'),
        ('id = "02_cache"', 'id = "02_cash"', 'id must equal the folder\'s name, "02_cache"; found "02_cash"'),
        ("replicas = 2", 'replicas = "2"', 'services.order.replicas must be a whole number; found "2"'),
        ("replicas = 2", "replicas = true", "services.order.replicas must be a whole number; found True"),
        ("replicas = 2", "replicas = 0", "services.order.replicas must be at least 1; found 0"),
        (
            "[services.order]",
            "[services.orders]",
            'services.orders must be one of gateway, user, concert, order; found "orders"',
        ),
        ('"redis"]', '"rediss"]', 'infrastructure[2] must be one of postgres, redis, kafka; found "rediss"'),
        ("at_least = 5", "at_least = -5", "hypothesis[1].at_least must be more than 0.0; found -5"),
        ("at_least = 5", "", "hypothesis[1] must have exactly one of at_least and at_most"),
        ("at_least = 5", "at_least = 5\nat_most = 2", "hypothesis[1] must have exactly one of at_least and at_most"),
        ('"throughput"', '"tps"', "hypothesis[1].metric must be one of throughput, finished, mean_ms"),
        ('"concert_list"', '"list"', "hypothesis[1].scenario must be one of concert_list, seat_lookup"),
        ("concert/cache.py", "../cache.py", "changes.added[1] must be a path relative to the stage folder"),
        ("concert/cache.py", "concert/old.py", 'changes must name each path once; "concert/old.py" is there 2 times'),
        ('previous = "01_baseline"', 'previous = ""', '[changes] must be absent where previous is ""'),
        ('"order.cancellation_consumer"', '"cancellation"', "workers.cancellation.module must match"),
        ('title = "Redis cache"', "title = Redis", "not valid TOML"),
    ],
)
def test_a_bad_manifest_gets_one_sentence(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    folder = _written(tmp_path, "02_cache", GOOD.replace(old, new, 1))
    with pytest.raises(ManifestError) as caught:
        load_stage(folder)
    assert caught.value.message.startswith(f"{folder / 'stage.toml'}: {problem}")
    assert "\n" not in caught.value.message


def test_every_problem_is_told(tmp_path: Path) -> None:
    text = GOOD.replace("replicas = 2", "replicas = 0").replace('metric = "throughput"', 'metric = "tps"')
    with pytest.raises(ManifestError) as caught:
        load_stage(_written(tmp_path, "02_cache", text))
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "services.order.replicas",
        "hypothesis[1].metric",
    ]
    assert "hypothesis[1].metric" in caught.value.hint


def test_ids_of_hypotheses_are_unique(tmp_path: Path) -> None:
    block = GOOD[GOOD.index("[[hypothesis]]") : GOOD.index("[services.gateway]")]
    with pytest.raises(
        ManifestError, match='hypothesis ids must be unique in the stage; "cache-list" is there 2 times'
    ):
        load_stage(_written(tmp_path, "02_cache", GOOD.replace(block, block * 2)))


def test_a_later_stage_must_name_its_changes(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[changes]")] + GOOD[GOOD.index("[[known_defect]]") :]
    with pytest.raises(ManifestError, match=r"\[changes\] is missing"):
        load_stage(_written(tmp_path, "02_cache", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "02_cache").mkdir()
    with pytest.raises(ManifestError, match=r"02_cache/stage\.toml: the file is missing"):
        load_stage(tmp_path / "02_cache")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("10_late", "02_cache", "03_async_cancel"):
        _written(tmp_path, name, GOOD.replace('id = "02_cache"', f'id = "{name}"'))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "notes.txt").write_text("no stage")
    return tmp_path


def test_stages_are_found_in_order_of_name(root: Path) -> None:
    assert [stage.id for stage in discover_stages(root)] == ["02_cache", "03_async_cancel", "10_late"]


def test_a_numbered_folder_without_manifest_is_told(root: Path) -> None:
    (root / "04_scaleout").mkdir()
    with pytest.raises(ManifestError, match=r"04_scaleout/stage\.toml: the file is missing"):
        discover_stages(root)


@pytest.mark.parametrize("name", ["2", "02", "02_", "02_cache", "002"])
def test_a_stage_is_found_by_what_a_person_types(root: Path, name: str) -> None:
    found = find_stage(name, root)
    assert isinstance(found, Stage)
    assert found.id == "02_cache"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("cahce", 'There is no stage "cahce".', 'Did you mean "02_cache"?'),
        ("03_async_cancle", 'There is no stage "03_async_cancle".', 'Did you mean "03_async_cancel"?'),
        ("7", 'There is no stage "7".', "Stages: 02_cache, 03_async_cancel, 10_late."),
        ("0", '"0" fits several stages: 02_cache, 03_async_cancel.', "Give more of the name."),
        ("", 'There is no stage "".', "Stages: 02_cache"),
    ],
)
def test_an_unknown_stage_offers_the_nearest(root: Path, name: str, message: str, hint: str) -> None:
    with pytest.raises(HarnessError) as caught:
        find_stage(name, root)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_no_stage_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="There is no stage in"):
        discover_stages(tmp_path)
    with pytest.raises(HarnessError, match="There is no folder"):
        discover_stages(tmp_path / "nowhere")
