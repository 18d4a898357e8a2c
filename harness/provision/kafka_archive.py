"""Java's start-up archive for the broker, made once: classes already loaded and linked (JEP 483, 514).

Measured here, for two starts of Java: 1.1 s with it, 2.6 s without; 69 MB in the cache, and some 8 s once to make it.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from harness.errors import HarnessError
from harness.provision import kafka_client
from harness.provision.kafka_broker import JVM_FLAGS, Java, new_node, start_node
from harness.provision.kafka_storage import lay_out
from harness.provision.starting import Place, wait_until_ready
from harness.supervise import ManagedProcess
from harness.supervise.record import exclusive

_READY_SECONDS = 60.0
_EXERCISE_SECONDS = 30.0
_WRITE_SECONDS = 60.0
_KEPT = 3


def start_up_archive(place: Place, java: Java, cache: Path, metadata: Path) -> Path:
    """The archive for this runtime, these jars and these flags, made if it is not in the cache yet.

    Its name tells what it was made from, because Java silently ignores one that does not fit. It is recorded by a
    throwaway broker, which is started, used and stopped.

    Raises:
        HarnessError: the broker does not start, or no archive comes of it.
    """
    archive = cache / f"start-up-{_fingerprint(java)}.aot"
    if archive.exists():
        return archive
    with exclusive(cache / "start-up.lock", lambda: place.report("Waiting for another run that is preparing Kafka.")):
        if not archive.exists():
            place.report("Preparing Kafka's start-up archive, once (about 10 s).")
            recorded = _record(place, java, metadata, cache / f"recording-{place.supervisor.run_id}.aot")
            recorded.replace(archive)
            _drop_old(cache)
    return archive


def archive_flags(archive: Path) -> tuple[str, ...]:
    """Java's flags to start from it, after a check of its checksums: it is mapped as it is, damaged or not."""
    return (f"-XX:AOTCache={archive}", "-XX:+VerifySharedSpaces")


def archive_refused(process: ManagedProcess) -> bool:
    """Whether Java could not use the archive, as it says in its log."""
    return any("[error][aot" in line for line in process.tail(100))


def _record(place: Place, java: Java, metadata: Path, target: Path) -> Path:
    node = new_node(place.folder / "recording")
    lay_out(node, metadata)
    process = start_node(place, java, node, (f"-XX:AOTCacheOutput={target}",), name="kafka-recording")
    try:
        wait_until_ready(
            process,
            lambda: kafka_client.describe_cluster(node.bootstrap, 2.0),
            expected=(kafka_client.NotReadyError,),
            deadline=_READY_SECONDS,
            place=place,
        )
        kafka_client.exercise(node.bootstrap, _EXERCISE_SECONDS)
        # The archive is written at the orderly end.
        process.terminate(grace=_WRITE_SECONDS)
    except kafka_client.NotReadyError as error:
        raise HarnessError(f"Kafka does not work: {error}.", f"See its log, {process.log}.") from error
    finally:
        place.supervisor.release(process)
    if not target.exists():
        raise HarnessError("Java did not write Kafka's start-up archive.", f"See its log, {process.log}.")
    return target


def _fingerprint(java: Java) -> str:
    """What an archive fits: the runtime, every jar with its time, the flags, and the processor, as it holds code."""
    image = java.program.parent.parent / "lib" / "modules"
    parts = [*JVM_FLAGS, platform.machine(), _processor_features()]
    for path in (image, *java.jars):
        status = path.stat()
        parts.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor_features() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _drop_old(cache: Path) -> None:
    archives = sorted(cache.glob("start-up-*.aot"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in (*archives[_KEPT:], *cache.glob("recording-*")):
        old.unlink(missing_ok=True)
