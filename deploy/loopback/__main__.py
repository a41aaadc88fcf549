"""`python -m deploy.loopback`: run the deployment in the foreground until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from deploy.loopback.deployment import Deployment
from instafeed.devstack.ports import is_free
from instafeed.devstack.state import StackError
from instafeed.devstack.supervisor import StopRequested, StopSignals, Supervisor


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.loopback", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="directory for all files; created if necessary")
    parser.add_argument("--port", type=int, default=8000, help="of nginx, on 127.0.0.1")
    options = parser.parse_args()
    try:
        _require_free(options.port)
        with StopSignals() as signals, suppress(StopRequested):
            _run(options.data_dir, options.port, signals)
    except StackError as error:
        print(f"loopback: {error}", file=sys.stderr)  # noqa: T201
        return 1
    _say("Stopped.")
    return 0


def _run(data_dir: Path, port: int, signals: StopSignals) -> None:
    with Deployment(data_dir, port, variables=os.environ, sleep=signals.sleep, say=_say) as deployment:
        _say(
            f"\nRunning.  {deployment.base_url}/api/v1/   docs {deployment.base_url}/docs\n"
            f"Logs, mounted files and data: {deployment.root}\n"
            "Ctrl-C stops everything and keeps the data, except pictures."
        )
        Supervisor(deployment.children, sleep=signals.sleep, say=_say).watch()


def _require_free(port: int) -> None:
    if not 1024 <= port <= 65_535:
        raise StackError(f"port {port}: must be from 1024 to 65535")
    if not is_free(port):
        raise StackError(f"port {port} is taken: choose another --port")


def _say(line: str) -> None:
    with suppress(OSError):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
