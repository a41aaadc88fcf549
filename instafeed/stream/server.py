"""The process for streams: uvicorn with the application, and its orderly end."""

from __future__ import annotations

import gc
import os
import resource
import socket

import uvicorn
from django.conf import settings

from instafeed.core import env
from instafeed.core.observability import multiprocess_files
from instafeed.core.process import hide_memory
from instafeed.stream.application import Application
from instafeed.stream.connection import SEND_TIMEOUT

HEADER_LIMIT = 16 * 1024  # bytes of a request line with its headers
GRACE = 5  # seconds for all responses to end
BACKLOG = 4_096
SPARE_FILES = 1_000


class Server(uvicorn.Server):
    """uvicorn itself would wait for the clients of all streams before it told the application to stop."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        await self._application.close()
        await super().shutdown(sockets)


def serve(application: Application) -> None:
    """Serve until SIGTERM or SIGINT. Reads PORT and WEB_BIND from the environment."""
    _raise_file_limit()
    port = env.integer("PORT", 8001, minimum=1, maximum=65_535)
    multiprocess_files.take_own_files(f"stream-{port}")
    multiprocess_files.remove_dead_gauges()  # of a process that was killed
    hide_memory()
    gc.collect()
    gc.freeze()  # what exists now stays: collections need not look at it
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        h11_max_incomplete_event_size=HEADER_LIMIT,
        proxy_headers=False,  # NUM_PROXIES says what to read
        server_header=False,
        access_log=False,  # instafeed.core.http.request_log
        log_config=None,
        timeout_keep_alive=75,  # seconds, as gunicorn
        timeout_graceful_shutdown=GRACE,
    )
    Server(config, application).run([_listen(port)])


def _listen(port: int) -> socket.socket:
    host = env.text("WEB_BIND", "127.0.0.1")
    try:
        listener = socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise env.SettingError("PORT", f"{host}:{port} cannot be used: {_reason(error)}") from None
    # Accepted connections inherit it. Otherwise a client that vanished would be noticed after 15 minutes.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_TIMEOUT * 1000))
    return listener


def _reason(error: OSError) -> str:
    """Return the system's words for an error. The text of `socket.create_server` repeats the address."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _raise_file_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, settings.STREAM_LIMIT + SPARE_FILES), most))
