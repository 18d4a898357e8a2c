"""The embedded provider: servers from wheels and jars, run by this harness, gone with it."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from harness.errors import HarnessError
from harness.provision.kafka import start_kafka, wait_for_kafka
from harness.provision.model import Component, Infrastructure, Server
from harness.provision.postgres import start_postgres, wait_for_postgres
from harness.provision.starting import Place, Report, disk_full
from harness.provision.valkey import start_valkey, wait_for_valkey
from harness.supervise import ManagedProcess, Supervisor

_POLL_SECONDS = 0.02
_GIVE_UP_SECONDS = 5.0


@dataclass(frozen=True)
class _Verbs:
    start: Callable[[Place], Server]
    wait: Callable[[Place, ManagedProcess, str], object]


_VERBS = {
    Component.POSTGRES: _Verbs(start_postgres, wait_for_postgres),
    Component.REDIS: _Verbs(start_valkey, wait_for_valkey),
    Component.KAFKA: _Verbs(start_kafka, wait_for_kafka),
}


# Several infrastructures may share one supervisor, and so one scratch folder.
_SERIAL = count(1)


class EmbeddedInfrastructure(Infrastructure):
    """Real servers on loopback ports; their data is in the supervisor's scratch folder."""

    provider = "embedded"

    def __init__(self, supervisor: Supervisor, log_folder: Path, report: Report) -> None:
        super().__init__()
        self._supervisor = supervisor
        self._log_folder = log_folder
        self._report = report

    def ensure(self, *components: Component) -> None:
        wanted = dict.fromkeys(components)
        for component in wanted:
            if component in self._servers and not self._process(component).alive():
                self.restart(component)
        cancelled = threading.Event()
        starts = [_Start(item, self._place(item, cancelled)) for item in wanted if item not in self._servers]
        try:
            for start in starts:
                start.thread.start()
            # Polled, not joined, so that the first failure and a Ctrl-C are seen at once.
            while any(start.thread.is_alive() for start in starts) and not any(start.error for start in starts):
                time.sleep(_POLL_SECONDS)
        finally:
            cancelled.set()
            deadline = time.monotonic() + _GIVE_UP_SECONDS
            for start in starts:
                start.thread.join(max(0.0, deadline - time.monotonic()))
                if start.server is not None:
                    self._servers[start.component] = start.server
        for start in sorted(starts, key=lambda start: start.ended):
            if start.error is not None:
                raise start.error

    def restart(self, component: Component) -> Server:
        server, process = self.server(component), self._process(component)
        process.terminate()
        process.respawn()
        _VERBS[component].wait(self._place(component, threading.Event()), process, server.url)
        return server

    def close(self) -> None:
        for server in reversed(self.servers):
            if server.process is not None:
                self._supervisor.release(server.process)
        super().close()

    def _process(self, component: Component) -> ManagedProcess:
        process = self.server(component).process
        assert process is not None, "an embedded server has a process"
        return process

    def _place(self, component: Component, cancelled: threading.Event) -> Place:
        # A folder of its own for every try, so that one that failed leaves nothing in the way of the next.
        folder = self._supervisor.scratch / "servers" / f"{component}-{next(_SERIAL)}"
        return Place(self._supervisor, folder, self._log_folder, self._report, cancelled)


class _Start:
    """One server being started in a thread of its own, beside the others."""

    def __init__(self, component: Component, place: Place) -> None:
        self.component = component
        self.server: Server | None = None
        self.error: BaseException | None = None
        self.ended = float("inf")
        self.thread = threading.Thread(target=self._run, args=(place,), name=f"start-{component}", daemon=True)

    def _run(self, place: Place) -> None:
        try:
            self.server = _VERBS[self.component].start(place)
        except OSError as error:
            self.error = _explained(self.component, error, place)
        except BaseException as error:  # raised again in the thread that waits
            self.error = error
        self.ended = time.monotonic()


def _explained(component: Component, error: OSError, place: Place) -> HarnessError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(component.value, place.folder)
    reason = error.strerror or type(error).__name__
    return HarnessError(f"{component.value} cannot be started: {reason}: {error.filename}.")
