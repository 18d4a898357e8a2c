"""``python -m common.serve PACKAGE[:MODULE]``: runs one process of a stage under uvicorn until SIGTERM or SIGINT.

PACKAGE is ``gateway``, ``user``, ``concert`` or ``order``; its ``app.py`` offers ``create_app()``, its ``settings.py``
``load_settings()``. MODULE is another module of the package to serve in place of ``app``: a worker, which has the
package's settings. On SIGTERM the process stops accepting, finishes the requests in flight, closes what it had open,
and exits 0.
"""

from __future__ import annotations

import gc
import signal
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
    app = traced(import_module(f"{package}.{module or 'app'}").create_app(settings), module or package)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 50, 50)
    # uvicorn shuts down in order and then raises the signal once more, for whoever was there before it. Without this it
    # would kill the process before its exit handlers, and the last traces with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
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
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
