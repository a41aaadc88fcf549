"""METRICS_PORT: the main process of a Celery worker answers GET /metrics for its whole pool.

For workers in their own containers, whose counts no web process can read. It serves counts only; the web processes
report the state of the services.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from instafeed.core import env
from instafeed.core.monitoring import exporter
from instafeed.core.observability import metrics, multiprocess_files


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 5  # seconds to wait for the rest of a request

    def address_string(self) -> str:
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:
        pass


def start_server(address: str, port: int) -> None:
    """Listen, and answer in a thread of this process. Raises SettingError if that is not possible.

    The pool forks while this thread runs. That is safe only if the thread holds no lock of a metric, so the shared
    metrics directory is required: the thread reads its files only.
    """
    if not metrics.MULTIPROCESS_DIR:
        raise env.SettingError("METRICS_PORT", "needs PROMETHEUS_MULTIPROC_DIR, where the pool's processes count")
    try:
        server = make_server(address, port, _application, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        raise env.SettingError("METRICS_PORT", f"{address}:{port} cannot be used: {error.strerror}") from None
    multiprocess_files.take_own_files(f"worker-{port}")
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/metrics" and exporter.is_allowed(environ):
        status, kind, body = exporter.build_response()
    else:
        status, kind, body = HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"Not Found.\n"
    start_response(f"{status.value} {status.phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
