"""A throwaway Apache Kafka: a real broker (KRaft, one node) on the Java runtime of a wheel."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness.errors import HarnessError
from harness.provision import kafka_client
from harness.provision.kafka_archive import archive_flags, archive_refused, start_up_archive
from harness.provision.kafka_broker import SETTINGS, Java, Node, java_program, new_node, start_node
from harness.provision.kafka_jars import cache_folder, kafka_jars
from harness.provision.kafka_storage import first_metadata, lay_out
from harness.provision.model import Component, Server
from harness.provision.starting import Place, on_free_port, wait_until_ready
from harness.supervise import ManagedProcess

_READY_SECONDS = 60.0
_PROBE_SECONDS = 2.0
_VERSION = re.compile(r"Kafka version: (\S+)")


def start_kafka(place: Place) -> Server:
    """Start it on free loopback ports; the first use fetches its jars (45 MB) and prepares its start-up archive.

    It has no passwords: every user of this machine can reach it while it runs.

    Raises:
        HarnessError: no Java for this platform, no network on the first use, no space, or it does not get ready.
    """
    program = java_program()
    cache = cache_folder()
    jars = kafka_jars(place.report, given_up=place.given_up)
    java = Java(program, tuple(jars))
    metadata = first_metadata(place, java, cache)
    archive = start_up_archive(place, java, cache, metadata)
    return on_free_port(place, "Kafka", lambda: _start(place, java, metadata, archive))


def wait_for_kafka(place: Place, process: ManagedProcess, bootstrap: str, cluster_id: str | None = None) -> None:
    """Wait until it answers as a broker of its cluster that may be written to."""

    def probe() -> None:
        found = kafka_client.describe_cluster(bootstrap, _PROBE_SECONDS)
        if cluster_id is not None and found.cluster_id != cluster_id:
            raise kafka_client.NotReadyError(f"another broker, of cluster {found.cluster_id}, answers")
        if not found.brokers:
            raise kafka_client.NotReadyError("the controller has not let the broker in yet")

    wait_until_ready(process, probe, expected=(kafka_client.NotReadyError,), deadline=_READY_SECONDS, place=place)


def _start(place: Place, java: Java, metadata: Path, archive: Path) -> Server:
    folder = place.folder / "node"
    shutil.rmtree(folder, ignore_errors=True)
    node = new_node(folder)
    lay_out(node, metadata)
    process = start_node(place, java, node, archive_flags(archive))
    try:
        wait_for_kafka(place, process, node.bootstrap, node.cluster_id)
    except HarnessError:
        place.supervisor.release(process)
        raise
    if archive_refused(process):
        # Java does without it then; it only starts more slowly.
        place.report("Kafka's start-up archive is damaged; the next run makes it anew.")
        archive.unlink(missing_ok=True)
    return _server(node, process)


def _server(node: Node, process: ManagedProcess) -> Server:
    # The protocol has no question for the version; the broker writes it into its log when it starts.
    said = _VERSION.search("\n".join(process.tail(200)))
    version = f"Apache Kafka {said.group(1)}" if said else "Apache Kafka"
    settings = {**SETTINGS, "producers": "acks=all"}
    return Server(Component.KAFKA, node.bootstrap, node.bootstrap, version, process, settings)
