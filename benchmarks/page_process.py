"""Make pages in a process of its own, without a web server: their latency, CPU time and SQL statements.

For `ChildProcess`. Each kind of page has its own process, because the settings of Django are those of a process.
"""

from __future__ import annotations

import io
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

from benchmarks.sql_statements import recorded_statements


@dataclass(frozen=True)
class Page:
    """What to request."""

    path: str
    query: str = ""
    token: str = ""


@dataclass
class Made:
    """A page and what it cost."""

    body: bytes | None  # None unless the status is 200
    latency: float  # ms
    cpu: float  # seconds of this process
    statements: int  # SQL, in all databases


def serve(pipe: Pipe, settings_module: str, public_url: str, migrate: str) -> None:
    """Set Django up, apply the migrations of the app `migrate` unless it is empty, and answer each `Page`.

    `public_url` begins the URLs of pictures; it must be the same for all who share the cache.
    """
    # As deploy/gunicorn.conf.py does. Statements have no limit, so that a slow page is measured, too.
    os.environ.update(DATABASE_POOL="true", PRIMARY_STATEMENT_TIMEOUT="0")
    os.environ.update(DJANGO_SETTINGS_MODULE=settings_module, PUBLIC_URL=public_url)
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    if migrate:
        call_command("migrate", migrate, verbosity=0)
    pipe.send("ready")
    while True:
        pipe.send(_make(application, pipe.recv()))


def _make(application: Any, page: Page) -> Made:
    environ = _environ(page)
    with recorded_statements() as statements:
        started, cpu = time.perf_counter(), time.process_time()
        body = _request(application, environ)
        cpu = time.process_time() - cpu
        latency = (time.perf_counter() - started) * 1000
    return Made(body, latency, cpu, len(statements))


def _environ(page: Page) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": page.path,
        "QUERY_STRING": page.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        **({"HTTP_AUTHORIZATION": f"Bearer {page.token}"} if page.token else {}),
    }


def _request(application: Any, environ: dict[str, Any]) -> bytes | None:
    statuses: list[str] = []
    response = application(environ, lambda status, headers: statuses.append(status))
    try:
        body = b"".join(response)
    finally:
        response.close()  # ends the request: gives the database connection back
    return body if statuses == ["200 OK"] else None
