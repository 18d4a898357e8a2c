"""How the Python was built that everything runs on.

CPython that is built without ``--enable-optimizations`` has had no profile-guided optimisation ("Configure Python",
"Performance options"). Whoever compiles it gets it so unless they ask; so does who lets pyenv do it.
"""

from __future__ import annotations

import sys
import sysconfig

_FLAG = "--enable-optimizations"


def is_optimised(prefix: str, arguments: str) -> bool:
    """Whether a Python that lives at ``prefix`` and was configured with ``arguments`` is as fast as it can be.

    A Linux system's own is, though it may not say so: Debian's has been optimised, and keeps quiet about it.
    """
    return prefix == "/usr" or _FLAG in arguments


def caveat() -> str | None:
    """What this Python's build does to the figures of a run, and what helps; None if it is as fast as it can be."""
    if is_optimised(sys.base_prefix, sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return None
    return (
        f"This Python was built without {_FLAG}, and takes 10 to 30% more CPU for the same requests than one with; "
        "`uv python list` shows what there is, UV_PYTHON=… takes it."
    )
