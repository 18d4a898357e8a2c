"""The data folder that a broker begins with, as ``kafka-storage format`` would lay it out.

Kafka's tool is a JVM of its own: 1.4 s of CPU beside the 2.2 s in which a broker starts. What it writes is the same for
every cluster of a version, but for the ids; so it is run once, and each broker gets ids of its own and a copy.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.provision.kafka_broker import Java, Node, format_storage, new_id, new_node
from harness.provision.kafka_lock import sha256_of
from harness.provision.starting import Place
from harness.supervise.record import exclusive

_METADATA = Path("__cluster_metadata-0", "00000000000000000000-0000000000.checkpoint")
_NAME = "first-metadata-{}.checkpoint"


def first_metadata(place: Place, java: Java, cache: Path) -> Path:
    """What a new cluster's metadata log begins with (the features that it has), made if it is not in the cache yet.

    Raises:
        HarnessError: Kafka's tool fails.
    """
    with exclusive(cache / "first-metadata.lock"):
        # Named after what is in it: one that has been damaged goes unseen, and is made again.
        for kept in cache.glob(_NAME.format("*")):
            if kept.name == _NAME.format(sha256_of(kept)):
                return kept
        node = new_node(place.folder / "formatted")
        format_storage(place, java, node)
        made = node.data / _METADATA
        kept = cache / _NAME.format(sha256_of(made))
        shutil.copyfile(made, kept)
        return kept


def lay_out(node: Node, metadata: Path) -> None:
    """Write a node's data folder: whose it is, and what its cluster begins with."""
    (node.data / _METADATA).parent.mkdir(parents=True)
    shutil.copyfile(metadata, node.data / _METADATA)
    identity = {"version": "1", "cluster.id": node.cluster_id, "node.id": "1", "directory.id": new_id()}
    lines = "".join(f"{key}={value}\n" for key, value in identity.items())
    (node.data / "meta.properties").write_text(lines, encoding="utf-8")
