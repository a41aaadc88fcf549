"""Log lines say which request they belong to, in web processes and in the workers that go on for them.

The id of instafeed.api.request_id travels with every task as a message header, so a worker's lines carry
the id of the request that caused them; a task that starts another passes it on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from celery.signals import before_task_publish, setup_logging, task_postrun, task_prerun
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.log import configure_logging

from instafeed.api.request_id import META_KEY, current_request_id, use_request_id

SLOW = 1.0  # seconds
_TASK_HEADER = "request_id"
logger = logging.getLogger(__name__)


class RequestIdFilter(logging.Filter):
    """Gives every record a `request_id`, "-" outside of requests and what they started."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs an answer of 5xx after the last middleware, where only the record knows the request.
        request = getattr(record, "request", None)
        offered = request.META.get(META_KEY) if isinstance(request, HttpRequest) else None
        record.request_id = offered or current_request_id() or "-"
        return True


class SlowRequestMiddleware:
    """One line for each answer that took longer than `SLOW`, without what the client sent."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.monotonic()
        response = self.get_response(request)
        if (seconds := time.monotonic() - started) >= SLOW:
            route = request.resolver_match.route if request.resolver_match else "an unknown path"
            logger.warning("%s %s: %d after %.1f s", request.method, route, response.status_code, seconds)
        return response


@before_task_publish.connect
def _send_along(headers: dict[str, Any], **_: Any) -> None:
    if request_id := current_request_id():
        headers[_TASK_HEADER] = request_id


@task_prerun.connect
def _take_over(task: Any, **_: Any) -> None:
    use_request_id(task.request.get(_TASK_HEADER) or "")


@task_postrun.connect
def _forget(**_: Any) -> None:
    use_request_id("")


@setup_logging.connect
def _as_everywhere(**_: Any) -> None:
    """Celery would install formats of its own; with a receiver it leaves logging alone."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
