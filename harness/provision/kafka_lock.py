"""Which jars make up the Kafka broker: written once by this tool, committed, and checked at every start.

``python -m harness.provision.kafka_lock`` walks the POMs of the broker with jgo, downloads its jars and writes
``kafka.lock``. It is run when the Kafka version changes, by hand, and its difference is read like any other.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

KAFKA_VERSION = "4.4.0"
LOCK_FILE = Path(__file__).with_name("kafka.lock")
# The broker's POM leaves the choice of a logging backend to the distribution; this is the one that Kafka ships.
_ENDPOINTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5")


@dataclass(frozen=True)
class LockedJar:
    """One jar in Maven's coordinates, with what it must look like."""

    group: str
    artifact: str
    version: str
    size: int
    """Bytes."""
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def matches(self, path: Path) -> bool:
        """Whether the file is this jar, whole and unaltered."""
        return path.is_file() and path.stat().st_size == self.size and sha256_of(path) == self.sha256


def read_lock(path: Path = LOCK_FILE) -> list[LockedJar]:
    """The jars of the broker, in class path order."""
    jars = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinates, size, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(LockedJar(group, artifact, version, int(size), sha256))
    return jars


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_lock(path: Path = LOCK_FILE) -> int:
    """Resolve the broker's jars afresh and write them down; how many there are. Needs the network."""
    import jgo
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), local_repos=[])
        lines: dict[str, str] = {}
        for artifact in (found for endpoint in _ENDPOINTS for found in jgo.resolve(endpoint)):
            coordinates = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            if coordinates in lines:
                continue
            component = context.project(artifact.groupId, artifact.artifactId).at_version(artifact.version)
            jar = component.artifact().resolve()
            lines[coordinates] = f"{coordinates} {jar.stat().st_size} {sha256_of(jar)}\n"
    title = f"# Apache Kafka {KAFKA_VERSION}; written by python -m harness.provision.kafka_lock\n"
    path.write_text(title + "".join(lines.values()), encoding="utf-8")
    return len(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{write_lock()} jars written to {LOCK_FILE}\n")
