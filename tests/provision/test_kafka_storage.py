"""A broker's data folder is what Kafka's own tool makes of it, with ids of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness.provision import kafka_storage
from harness.provision.kafka_broker import Java, Node, java_program, new_node
from harness.provision.kafka_jars import cache_folder, kafka_jars
from harness.provision.kafka_storage import first_metadata, lay_out
from harness.provision.starting import Place
from harness.supervise import Supervisor


@pytest.fixture
def place(supervisor: Supervisor, tmp_path: Path) -> Place:
    return Place(supervisor, supervisor.scratch / "kafka", tmp_path / "logs", print, threading.Event())


@pytest.fixture
def java() -> Java:
    return Java(java_program(), tuple(kafka_jars(print)))


def _identity(node: Node) -> dict[str, str]:
    lines = (node.data / "meta.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def _files(node: Node) -> list[Path]:
    return sorted(path.relative_to(node.data) for path in node.data.rglob("*") if path.is_file())


def test_it_is_laid_out_as_kafka_does_it(place: Place, java: Java, tmp_path: Path) -> None:
    metadata = first_metadata(place, java, tmp_path)
    formatted = Node(place.folder / "formatted", 0, 0, "")
    node = new_node(tmp_path / "node")
    lay_out(node, metadata)
    assert _files(node) == _files(formatted)
    ids = ("cluster.id", "directory.id")
    ours, theirs = _identity(node), _identity(formatted)
    assert {key: value for key, value in ours.items() if key not in ids} == {
        key: value for key, value in theirs.items() if key not in ids
    }
    assert {len(ours[key]) for key in ids} == {len(theirs[key]) for key in ids} == {22}
    assert ours["cluster.id"] == node.cluster_id


def test_two_brokers_have_no_id_in_common(place: Place, java: Java, tmp_path: Path) -> None:
    metadata = first_metadata(place, java, cache_folder())
    nodes = [new_node(tmp_path / name) for name in ("one", "two")]
    for node in nodes:
        lay_out(node, metadata)
    one, two = map(_identity, nodes)
    assert one["cluster.id"] != two["cluster.id"]
    assert one["directory.id"] != two["directory.id"]


def test_kafka_formats_once_and_again_only_what_was_damaged(
    place: Place, java: Java, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter([b"what a cluster begins with", b"a cluster's beginning"])

    def write(place: Place, java: Java, node: Node) -> None:
        file = node.data / kafka_storage._METADATA
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(next(made))

    monkeypatch.setattr(kafka_storage, "format_storage", write)
    first = first_metadata(place, java, tmp_path)
    assert first_metadata(place, java, tmp_path) == first
    first.write_bytes(first.read_bytes()[:-1])
    assert first_metadata(place, java, tmp_path).read_bytes() == b"a cluster's beginning"
