"""Sentry reports as an HTTP server receives them: they contain the failure and no secrets."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
SECRET = "hunter2hunter2"

# A failing request, a failing task and an error log line, each with secrets.
SCRIPT = """
import contextlib
import logging
import django
django.setup()
import sentry_sdk
from celery import shared_task
from celery.app.trace import build_tracer
from django.http import HttpResponse
from django.core.wsgi import get_wsgi_application
from django.test import RequestFactory
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from instafeed import urls
from instafeed.celery import app

SECRET = "hunter2" * 2
@csrf_exempt
def fail(request, name):
    password = SECRET
    logging.getLogger("instafeed.tests").info("a breadcrumb with token=%s", SECRET)
    raise RuntimeError(f"redis://:{SECRET}@host refused; password={SECRET}")
urls.urlpatterns.insert(0, path("fails/<name>", fail))
request = RequestFactory().post(
    f"/fails/someone?token={SECRET}&q=a-search",
    {"password": SECRET},
    "application/json",
    headers={
        "Authorization": f"Bearer {SECRET}",
        "X-Request-ID": "abc",
        "Referer": "https://example.org/a-page?q=a-search",
        "Cookie": f"sessionid={SECRET}",
    },
)
statuses = []
with contextlib.closing(get_wsgi_application()(request.environ, lambda *answer: statuses.append(answer[0]))) as answer:
    list(answer)
assert statuses[0].startswith("500"), statuses

@shared_task(name="tests.failing")
def failing(argument):
    raise ValueError(f"secret: {argument}")
build_tracer(failing.name, failing, app=app)("task-1", [SECRET], {}, {"id": "task-1", "request_id": "def"})
logging.getLogger("instafeed.tests").error("it is wrong: password=%s", SECRET)
sentry_sdk.flush(100)
"""


class Sentry:
    """A server that records the reports that it receives."""

    def __init__(self) -> None:
        self.raw: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.raw.append(body.decode())
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server.server_port}/1"

    @property
    def events(self) -> list[dict[str, Any]]:
        items = [json.loads(line) for body in self.raw for line in body.splitlines()]
        return [item for item in items if "event_id" in item and "platform" in item]


@pytest.fixture(scope="module")
def sentry() -> Iterator[Sentry]:
    receiving = Sentry()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "instafeed.settings",
        "HTTPS_ONLY": "false",
        "ALLOWED_HOSTS": "testserver",
        "SENTRY_DSN": receiving.dsn,
        "SENTRY_ENVIRONMENT": "staging",
        "SENTRY_RELEASE": "1.2.3",
        "LOG_LEVEL": "INFO",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stderr, "the log must be clean as well"
    yield receiving
    receiving.server.shutdown()


def find_event(sentry: Sentry, kind: str) -> dict[str, Any]:
    (event,) = [e for e in sentry.events if e.get("exception", {}).get("values", [{}])[-1].get("type") == kind]
    return event


def test_failed_request_is_reported_with_its_id(sentry: Sentry) -> None:
    event = find_event(sentry, "RuntimeError")
    assert event["tags"]["request_id"] == "abc"
    assert (event["environment"], event["release"]) == ("staging", "1.2.3")
    assert event["transaction"] == "/fails/{name}"
    assert event["request"] == {"method": "POST"}


def test_reports_contain_no_personal_data(sentry: Sentry) -> None:
    for body in sentry.raw:
        for personal in ("someone", "a-search", "a-page", "sessionid"):
            assert personal not in body


def test_failed_task_is_reported_with_task_id_and_request_id(sentry: Sentry) -> None:
    tags = find_event(sentry, "ValueError")["tags"]
    assert (tags["request_id"], tags["task_id"], tags["task"]) == ("def", "task-1", "tests.failing")


def test_error_log_line_is_reported(sentry: Sentry) -> None:
    assert [e for e in sentry.events if "it is wrong" in str(e.get("logentry"))]
    assert len(sentry.events) == 3, [e.get("logentry") for e in sentry.events]


def test_reports_contain_no_secrets_or_local_variables(sentry: Sentry) -> None:
    assert sentry.raw
    for body in sentry.raw:
        assert SECRET not in body
        assert '"vars"' not in body
    assert not [event for event in sentry.events if event.get("user")]
