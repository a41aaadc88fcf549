"""gunicorn's threaded worker, with errors in the API's format, bounded waits and clean connection ends.

gunicorn's master loads this module before Django is set up, so imports that need Django are inside functions.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from gunicorn import glogging, util
from gunicorn.http import errors
from gunicorn.http.body import LengthReader
from gunicorn.workers.gthread import ThreadWorker

from instafeed.core import env
from instafeed.core.http.waiting_time import WaitingTime
from instafeed.core.observability import logging_config

LOG_FORMAT = env.choice("LOG_FORMAT", "json", logging_config.FORMATS)
MAX_DRAINED_BYTES = 32 * 1024  # the longest unread body that is skipped to keep the connection
STALL_TIMEOUT = 10  # seconds without a byte within a request or a response
MAX_ACCEPTED_AT_END = 16  # connections per thread
LINGER_TIMEOUT = 2.0  # seconds for a client to read the last response of a connection
MAX_LINGER_BYTES = 16 * 1024 * 1024  # that the client may still send during that time

MAX_KEPT_ALIVE_SHARE = 0.5  # of worker_connections; with more connections, each ends after its response
MAX_QUEUE_SECONDS = 2.0  # that a request may wait for a thread; by then its client may have given up
MAX_EXPECTED_SECONDS = 1.5  # that a new request would wait; less, as this is an estimate
RETRY_AFTER = 1  # seconds, for refused requests
MAX_PEEKED_BYTES = 2048

_STALL_TIMEVAL = struct.pack("@ll", STALL_TIMEOUT, 0)  # a struct timeval

# The first match counts. An unknown Transfer-Encoding is a client error, hence a 400.
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
    """Exit with one line if a setting is invalid or no service is named. Otherwise each worker would fail and be
    replaced, in a loop. Settings that do not fit together are logged.

    Runs once per master: a reload reads gunicorn's configuration again and must not stop a running site. Runs in a
    child process, as the master must not load the code that a reload replaces.
    """
    loaded = subprocess.run(
        [sys.executable, "-m", "instafeed.core.startup"],
        env={"DJANGO_SETTINGS_MODULE": "instafeed.settings", **os.environ, "PROMETHEUS_MULTIPROC_DIR": ""},
        check=False,
    )
    if loaded.returncode:
        sys.exit(loaded.returncode)


class GunicornLogger(glogging.Logger):
    """Write gunicorn's own log lines in the common format."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logging_config.build_formatter(LOG_FORMAT))
        logging.captureWarnings(True)


class GunicornWorker(ThreadWorker):
    """Bound all waits: of threads for clients, and of requests for threads. Answer errors in the API's format.

    * A connection gets a thread when its client has sent something.
    * Requests that would wait for a thread for too long, or have done so, are refused with 503. Under overload all
      requests would otherwise be answered, but too late to be of use.
    * Liveness checks have a thread of their own: a process whose threads all wait for PostgreSQL is alive.
    """

    def init_process(self) -> None:
        self._liveness_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="liveness")
        self._waiting_time = WaitingTime()
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        start = _peek(conn.sock)
        if start is None and self.alive and not conn.initialized:
            self._wait_for_data(conn)
            return
        if start and self._is_overloaded() and _can_be_refused_unparsed(conn, start):
            self._refuse_unparsed(conn, start)
            return
        conn.is_liveness_check = _is_liveness_check(start)
        conn.place = None if conn.is_liveness_check else self._waiting_time.join()
        pool = self._liveness_pool if conn.is_liveness_check else self.tpool
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _wait_for_data(self, conn: Any) -> None:
        """Wait without a thread until the client of a new connection sends something, at most STALL_TIMEOUT."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + STALL_TIMEOUT
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _is_overloaded(self) -> bool:
        """Return whether a request that comes now would wait for too long. A worker that stops refuses nothing."""
        is_long = self._waiting_time.queued > self.cfg.threads
        return self.alive and is_long and self._waiting_time.expected() > MAX_EXPECTED_SECONDS

    def _refuse_unparsed(self, conn: Any, request: bytes) -> None:
        """Answer 503 in the accepting thread, which costs a fraction of a thread's work."""
        keep = not self._is_crowded() and not _asks_to_close(request)
        response = _refusal(keep=keep)
        conn.sock.setblocking(False)
        try:
            conn.sock.recv(len(request))
            keep = conn.sock.send(response) == len(response) and keep
        except OSError:
            keep = False
        if keep:
            conn.set_timeout()
            self.keepalived_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn))
        else:
            self.nr_conns -= 1
            conn.close()

    def set_accept_enabled(self, enabled: bool) -> None:
        """On shutdown, accept the connections in the queue and stop listening at once.

        gunicorn itself keeps listening without accepting until its last response: clients connect, send, and get a
        reset. With the listener closed they are refused and can use another server.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for conn in self.pending_conns:  # clients that have sent nothing must not delay the stop
            conn.timeout = min(conn.timeout, time.monotonic() + LINGER_TIMEOUT)
        for listener in self.sockets:
            try:
                self._accept_queued(listener)
            except OSError as error:  # for example no file descriptors left; accepted connections are still answered
                self.log.warning("could not accept all queued connections: %s", error)
            finally:
                listener.close()
        self.sockets: list[Any] = []

    def _accept_queued(self, listener: Any) -> None:
        """Accept only as many as can be answered in time. During a reload other workers accept the rest."""
        limit = self.nr_conns + self.cfg.threads * MAX_ACCEPTED_AT_END
        accepted = -1
        while accepted != self.nr_conns < limit:
            accepted = self.nr_conns
            self.accept(listener)  # does nothing if the queue is empty

    def handle(self, conn: Any) -> Any:
        conn.waited = self._waiting_time.leave(conn.place) if conn.place else 0.0
        # gunicorn has no timeout here: one client per thread with half a request would stop the site. A client that
        # sends slowly still holds a thread; use a buffering proxy against that.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, option, _STALL_TIMEVAL)
        keep_alive = super().handle(conn)
        if keep_alive is False and conn.is_liveness_check:
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)  # the client has sent nothing more, so it gets the whole response
        elif keep_alive is False:
            _linger_close(conn.sock)
        return keep_alive

    def handle_request(self, req: Any, conn: Any) -> Any:
        if conn.waited > MAX_QUEUE_SECONDS and self._may_refuse(req):
            return _refuse(req, conn, keep=not self._is_crowded())
        # gunicorn calls should_close when it writes the response headers. An unread body would be parsed as the next
        # request, so the connection must not be kept alive.
        should_close = req.should_close
        req.should_close = lambda: should_close() or _unread_bytes(req.body) > MAX_DRAINED_BYTES or self._is_crowded()
        return super().handle_request(req, conn)

    def _is_crowded(self) -> bool:
        """Return whether idle connections must end. At `worker_connections` gunicorn accepts no others, which then wait
        in the kernel's queue, where their time is not measured."""
        return bool(self.nr_conns > MAX_KEPT_ALIVE_SHARE * self.cfg.worker_connections)

    def _may_refuse(self, req: Any) -> bool:
        """Not a worker that stops, which answers what it has accepted; nor a health check, or all would look dead."""
        return self.alive and not req.path.startswith("/health")

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn could not parse, or that failed outside Django's error handlers."""
        request_id = uuid4().hex
        status = next((status for kind, status in _ERROR_STATUSES if isinstance(exc, kind)), 500)
        if status < 500:
            fields = {"request_id": request_id, "status": status}
            self.log.warning("unreadable request from %s: %s", addr and addr[0], type(exc).__name__, extra=fields)
        else:
            self.log.error("error outside Django's handlers", exc_info=exc, extra={"request_id": request_id})
        with suppress(OSError):
            util.write_nonblock(client, _error_response(status, request_id))


def _peek(sock: socket.socket) -> bytes | None:
    """Return the first bytes that a client has sent; None if there are none yet, and empty at the end."""
    try:
        return sock.recv(MAX_PEEKED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:  # reset by the client; the thread will see that, too
        return b""


def _is_liveness_check(start: bytes | None) -> bool:
    """Return whether a client has sent just this request. The only thread must wait neither for the rest nor for a
    body."""
    return start is not None and start.startswith(b"GET /health/live ") and _is_whole_request(start)


def _can_be_refused_unparsed(conn: Any, start: bytes) -> bool:
    """Return whether a client has sent a whole GET request, and nothing else is in gunicorn's buffer before it."""
    return (
        start.startswith(b"GET /")
        and not start.startswith(b"GET /health")  # or all servers would look dead
        and start.partition(b"\r\n")[0].endswith(b" HTTP/1.1")
        and _is_whole_request(start)
        and not (conn.parser and conn.parser.unreader.buf.getvalue())
    )


def _is_whole_request(start: bytes) -> bool:
    """Return whether these bytes are exactly one request, without a body."""
    head = start.lower()
    return (
        head.endswith(b"\r\n\r\n")
        and head.count(b"\r\n\r\n") == 1
        and b"\r\ncontent-length:" not in head
        and b"\r\ntransfer-encoding:" not in head
    )


def _asks_to_close(request: bytes) -> bool:
    head = request.lower()
    return b"\r\nconnection:" in head and b"keep-alive" not in head


def _refuse(req: Any, conn: Any, *, keep: bool) -> bool:
    """Answer 503. Return whether the connection can be kept: the client will send its next request over it."""
    keep = keep and not req.should_close() and not _unread_bytes(req.body)
    response = _refusal(keep=keep)
    util.write(conn.sock, response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if req.method == "HEAD" else response)
    return keep


def _refusal(*, keep: bool) -> bytes:
    """Count a refused request, and return its response."""
    from instafeed.core.observability.metrics import REQUESTS_REFUSED

    REQUESTS_REFUSED.inc()
    headers = {"Connection": "keep-alive" if keep else "close", "Retry-After": str(RETRY_AFTER)}
    return _error_response(503, uuid4().hex, headers)


def _error_response(status: int, request_id: str, headers: Mapping[str, str] | None = None) -> bytes:
    from instafeed.core.api.errors import error_body

    body = error_body(status)
    fields = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "private, no-store",
        "X-Request-ID": request_id,
    }
    lines = [f"{name}: {value}" for name, value in (fields | dict(headers or {})).items()]
    return "\r\n".join((f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *lines, "", "")).encode() + body


def _unread_bytes(body: Any) -> float:
    """Return how many bytes of the request body are unread: infinite for a chunked body or after a read error."""
    if body.failed:
        return float("inf")
    if isinstance(body.reader, LengthReader):
        return body.reader.length
    return float("inf") if body.reader.parser else 0


def _linger_close(sock: socket.socket) -> None:
    """Close our side and wait until the client has read the response (RFC 9112, section 9.6).

    gunicorn does this in the accepting thread, where a client that does not close delays all others; without this
    function test_clients_that_do_not_close_do_not_block_others in tests/system/core/test_raw_http.py fails. gunicorn
    also reads 64 KiB only, after which a client in the middle of an upload gets a reset instead of its response.
    """
    received, deadline = 0, time.monotonic() + LINGER_TIMEOUT
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while received < MAX_LINGER_BYTES and (remaining := deadline - time.monotonic()) > 0:
            sock.settimeout(remaining)
            chunk = sock.recv(65_536)
            if not chunk:
                break
            received += len(chunk)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # ends gunicorn's own wait at once
