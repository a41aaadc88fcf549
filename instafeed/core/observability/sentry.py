"""Error reports to Sentry, with nothing in them that is anybody's secret or personal data.

Only the integrations that are named here, no bodies, no local variables, no cookies or addresses; of a request its
method, as the transaction names the route; and what is left passes the same redaction as log lines.
"""

from __future__ import annotations

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
from sentry_sdk.integrations.threading import ThreadingIntegration
from structlog.contextvars import get_contextvars

from instafeed.core.observability.redaction import redact

CONTEXT_TAGS = ("request_id", "task_id", "task")


def init_sentry(dsn: str, *, environment: str, release: str | None, traces: float) -> None:
    """Report errors from here on, in this process and those that it forks. `traces`: the share of requests and
    tasks that are traced. Raises sentry_sdk.utils.BadDsn."""
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=release,
        traces_sample_rate=traces or None,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            DjangoIntegration(),
            CeleryIntegration(propagate_traces=traces > 0),
            LoggingIntegration(),  # lines are breadcrumbs, errors are events
            AtexitIntegration(callback=lambda pending, timeout: None),
            DedupeIntegration(),
            ExcepthookIntegration(),
            ThreadingIntegration(),
        ],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_scrub_event,  # type: ignore[arg-type]
        before_send_transaction=_scrub_event,  # type: ignore[arg-type]
    )
    # An answer of 5xx without an exception is a part that is away, which the metrics tell better.
    ignore_logger("instafeed.core.observability.request_log")
    ignore_logger("django.security.*")  # what clients sent, and were refused


def _scrub_event(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    # What a line was made of: without the words around it, a secret shows by nothing.
    event.get("logentry", {}).pop("params", None)
    if "request" in event:  # its url, query, cookies and headers (a Referer among them) name people and searches
        event["request"] = {"method": event["request"].get("method")}
    context = get_contextvars()
    tags = {name: context[name] for name in CONTEXT_TAGS if context.get(name)}
    return dict(redact({**event, "tags": {**event.get("tags", {}), **tags}}))
