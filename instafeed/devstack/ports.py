"""Find free TCP ports on the loopback address."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_MIN_PORT = 15_000
_random = random.SystemRandom()  # processes that start with the same seed, as tests do, must not draw the same ports
_given: set[int] = set()  # by this process: a port is free until its server, which starts later, listens


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port now. Raises PermissionError for a privileged port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise
        except OSError:
            return False
    return True


def free_port(*, companion: int = 0) -> int:
    """Return a free port that a server can reuse after a restart, whose sum with `companion` is free, too.

    A process gets each port once. The port is below the ephemeral range: while a server is down, an outgoing connection
    could get an ephemeral port, and a client that retries could even connect to itself.
    """
    for _ in range(100):
        port = _random.randrange(_MIN_PORT, _ephemeral_start() - companion)
        ports = {port, port + companion}
        if _given.isdisjoint(ports) and all(map(is_free, ports)):
            _given.update(ports)
            return port
    raise OSError("no free port on the loopback address")


def _ephemeral_start() -> int:
    try:
        start = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        start = 32_768
    return start if start > _MIN_PORT + 1_000 else 65_536
