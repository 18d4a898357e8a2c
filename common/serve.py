"""``python -m common.serve PACKAGE[:MODULE]``: runs one process of a stage under uvicorn until SIGTERM or SIGINT.

PACKAGE is ``gateway``, ``user``, ``concert`` or ``order``; its ``app.py`` offers ``create_app()``, its ``settings.py``
``load_settings()``. MODULE is another module of the package to serve in place of ``app``: a worker, which has the
package's settings. On SIGTERM the process stops accepting, finishes the requests in flight, closes what it had open,
and exits 0. An application that has something to do before it stops accepting, such as telling those who send requests
here, puts it into its lifespan state (ASGI lifespan protocol) as ``before_shutdown``, a function that is awaited.
"""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
from importlib import import_module

import uvicorn
from pydantic import ValidationError

from common.http_protocol import JoiningProtocol
from common.settings import ProcessSettings
from common.telemetry import configure_logging, traced

# Under load the collector finds nothing to free in what was loaded at the start, and looks at it again and again:
# freezing that and collecting less often gave 10–25% in the gateway (measured-costs.md).
GC_THRESHOLD = 20_000

# Connections that may wait to be accepted; a burst of a thousand clients opens them all at once.
BACKLOG = 4096

STARTUP_FAILURE = 3  # as uvicorn itself has it


logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server, which lets the application take its leave while it still answers."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        take_leave = self.lifespan.state.get("before_shutdown")
        if take_leave is not None:
            try:
                await take_leave()
            except Exception:  # the process ends all the same
                logger.exception("before the shutdown")
        await super().shutdown(sockets)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m common.serve PACKAGE[:MODULE]", file=sys.stderr)
        return 2
    package, _, module = argv[0].partition(":")
    try:
        settings: ProcessSettings = import_module(f"{package}.settings").load_settings()
    except ValidationError as invalid:
        for problem in invalid.errors(include_url=False, include_input=False, include_context=False):
            print(f"{package}: setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}", file=sys.stderr)
        return 2
    configure_logging(settings.log_level)
    # What is imported stays: to look for garbage in it meanwhile takes a tenth to a fifth of the start.
    gc.disable()
    app = traced(import_module(f"{package}.{module or 'app'}").create_app(settings), module or package)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 50, 50)
    gc.enable()
    # uvicorn shuts down in order and then raises the signal once more, for whoever was there before it. Without this it
    # would kill the process before its exit handlers, and the last traces with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=JoiningProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = Server(config)
    server.run()
    return 0 if server.started else STARTUP_FAILURE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
