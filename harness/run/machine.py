"""What the run ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from harness.provision import Infrastructure
from harness.stages.manifest import REPOSITORY
from harness.store.summary import Machine

_LIBRARIES = (
    "aiohttp", "asyncpg", "fastapi", "locust", "pydantic", "sqlalchemy", "starlette", "uvicorn", "uvloop",
)  # fmt: skip


def describe_machine(infrastructure: Infrastructure) -> Machine:
    """CPU, memory and kernel of this machine, and the versions of the servers and main libraries."""
    servers = {server.component.value: server.version for server in infrastructure.servers}
    return Machine(
        cpu_model=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=servers | {library: version(library) for library in _LIBRARIES},
    )


def revision() -> str | None:
    """The checkout's commit, with ``-dirty`` if files were changed since; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
