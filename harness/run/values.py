"""Values of the command line's options: each from its text, or one sentence on what it must be."""

from __future__ import annotations

import argparse
import os

from harness.launch.instance_size import MIN_CPUS
from harness.launch.ports import HIGHEST_BASE, MAX_REPLICAS_ON_CONTRACT_PORTS
from harness.stages.manifest import REGISTERING

# With a higher median, the slowest answers of the payment provider would outlast the services' patience.
HIGHEST_MEDIAN_MS = 3_000


def count(text: str) -> int:
    """A number of repeats."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError("must be a whole number between 1 and 100")
    return int(text)


def replicas(text: str) -> dict[str, int]:
    """Instances by service, such as ``order=1,concert=1``."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in REGISTERING or not number.isdecimal() or not 1 <= int(number) <= MAX_REPLICAS_ON_CONTRACT_PORTS:
            raise argparse.ArgumentTypeError(
                f"must be SERVICE=N,… with services of {', '.join(REGISTERING)} and N from 1 to "
                f"{MAX_REPLICAS_ON_CONTRACT_PORTS}, such as order=1,concert=1"
            )
        found[name] = int(number)
    return found


def port_base(text: str) -> int:
    """The first of a block of ports."""
    if not text.isdecimal() or not 1024 <= int(text) <= HIGHEST_BASE:
        raise argparse.ArgumentTypeError(f"must be a port between 1024 and {HIGHEST_BASE}")
    return int(text)


def seconds(text: str) -> float:
    """A time that a cell may take."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of seconds") from None
    if not 0.5 <= value <= 600:
        raise argparse.ArgumentTypeError("must be between 0.5 and 600 seconds")
    return value


def rate(text: str) -> float:
    """Requests a second."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of requests a second") from None
    if not 0.1 <= value <= 10_000:
        raise argparse.ArgumentTypeError("must be between 0.1 and 10,000 requests a second")
    return value


def milliseconds(text: str) -> float:
    """The payment provider's median latency."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of milliseconds") from None
    if not 0 <= value <= HIGHEST_MEDIAN_MS:
        raise argparse.ArgumentTypeError(f"must be between 0 and {HIGHEST_MEDIAN_MS:,} milliseconds")
    return value


def cpus(text: str) -> float | None:
    """A CPU budget; None for ``none``."""
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of CPUs, such as 0.15, or none") from None
    if not MIN_CPUS <= value <= (os.cpu_count() or 1):
        raise argparse.ArgumentTypeError(f"must be between {MIN_CPUS:g} and this machine's CPUs, or none")
    return value
