"""gunicorn's threaded worker, with the API's manners: errors of its own in the one shape, and clean ends.

Loaded by gunicorn's master before Django is, so what needs Django is imported where it is used.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from gunicorn import glogging, util
from gunicorn.http import errors
from gunicorn.http.body import LengthReader
from gunicorn.workers.gthread import ThreadWorker

from instafeed.core import env
from instafeed.core.observability import logging_config

LOG_FORMAT = env.choice("LOG_FORMAT", "json", logging_config.FORMATS)
MAX_DRAINED_BYTES = 32 * 1024  # bytes of an unread body that gunicorn reads past, to keep the connection
STALL_TIMEOUT = 10  # seconds without a byte from, or to, a client in the middle of a request or an answer
MAX_ACCEPTED_AT_END = 16  # connections a thread
LINGER_TIMEOUT = 2.0  # seconds for the client of a connection that ends to take its answer
MAX_LINGER_BYTES = 16 * 1024 * 1024  # that it may still send meanwhile

_STALL_TIMEVAL = struct.pack("@ll", STALL_TIMEOUT, 0)  # a struct timeval

# The first that fits. An unknown Transfer-Encoding is a 400 too: it is the client's doing, so no 5xx.
_ERROR_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidResponseHeader, 500),
    (errors.InvalidResponseHeaderName, 500),
    (errors.ConfigurationProblem, 500),
    (errors.LimitRequestLine, 414),
    (errors.LimitRequestHeaders, 431),
    (errors.ExpectationFailed, 417),
    (errors.ForbiddenProxyRequest, 403),
    (errors.ParseException, 400),
)


@cache
def validate_settings() -> None:
    """Ends the start at a wrong setting, in one line. Left to the workers, each would die of it and be replaced.

    Once in a master's life: a reload reads gunicorn's configuration again, and must not end a site that runs.
    In a process of its own: the master must not load the code that a reload is to replace.
    """
    loaded = subprocess.run(
        [sys.executable, "-c", "from django.conf import settings; settings.DEBUG"],
        env={"DJANGO_SETTINGS_MODULE": "instafeed.settings", **os.environ, "PROMETHEUS_MULTIPROC_DIR": ""},
        check=False,
    )
    if loaded.returncode:
        sys.exit(loaded.returncode)


class GunicornLogger(glogging.Logger):
    """gunicorn's own lines, in the form of all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logging_config.build_formatter(LOG_FORMAT))
        logging.captureWarnings(True)


class GunicornWorker(ThreadWorker):
    """What goes wrong before Django sees a request, or after, is answered in the API's shape too."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """At the end, take what waits to be accepted, and stop listening at once.

        gunicorn listens until its last request is answered, without accepting any more: clients connect, send, and
        get a reset. What nobody listens for is refused instead, and can be sent elsewhere.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            try:
                self._take_who_waits(listener)
            except OSError as error:  # no descriptors left, say; who was taken is answered all the same
                self.log.warning("not all who waited to be accepted were: %s", error)
            finally:
                listener.close()
        self.sockets: list[Any] = []

    def _take_who_waits(self, listener: Any) -> None:
        """No more than can be answered in time: at a reload, other workers listen on, and take the rest."""
        most = self.nr_conns + self.cfg.threads * MAX_ACCEPTED_AT_END
        taken = -1
        while taken != self.nr_conns < most:
            taken = self.nr_conns
            self.accept(listener)  # if there is one

    def handle(self, conn: Any) -> Any:
        # gunicorn waits for ever: as many clients as there are threads, each with half a request, would be the
        # end of the site. A trickle still holds a thread; a proxy that buffers is the answer to that.
        for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, way, _STALL_TIMEVAL)
        kept = super().handle(conn)
        if kept is False:
            _linger_close(conn.sock)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        # Asked when the answer's headers are written. A body that nobody read would be taken for the next
        # request; the client must not be told that it may send one.
        closes = req.should_close
        req.should_close = lambda: closes() or _unread_bytes(req.body) > MAX_DRAINED_BYTES
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answers a request that gunicorn could not read, or that an error beyond Django's handlers ended."""
        request_id = uuid4().hex
        status = next((status for kind, status in _ERROR_STATUSES if isinstance(exc, kind)), 500)
        if status < 500:
            fields = {"request_id": request_id, "status": status}
            self.log.warning("unreadable request from %s: %s", addr and addr[0], type(exc).__name__, extra=fields)
        else:
            self.log.error("error beyond Django's handlers", exc_info=exc, extra={"request_id": request_id})
        with suppress(OSError):
            util.write_nonblock(client, _error_response(status, request_id))


def _error_response(status: int, request_id: str) -> bytes:
    from instafeed.core.api.errors import error_body

    body = error_body(status)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {request_id}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


def _unread_bytes(body: Any) -> float:
    """How many bytes of a request's body are still to come: of one in chunks, or in which reading failed, nobody
    knows."""
    if body.failed:
        return float("inf")
    if isinstance(body.reader, LengthReader):
        return body.reader.length
    return float("inf") if body.reader.parser else 0


def _linger_close(sock: socket.socket) -> None:
    """Say that nothing more comes, and wait until the client has taken the answer (RFC 9112, section 9.6).

    gunicorn does so too, but for 64 KiB, after which a client in the middle of an upload gets a reset instead
    of its answer, and in the thread that accepts, where everybody else waits for a client that does not close.
    """
    taken, end = 0, time.monotonic() + LINGER_TIMEOUT
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while taken < MAX_LINGER_BYTES and (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            received = len(sock.recv(65_536))
            if not received:
                break
            taken += received
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # so that gunicorn's own wait ends at once
