"""Error reports to Sentry, without secrets or personal data.

Only the integrations named here are active. Reports have no bodies, local variables, cookies or addresses, and only the
method of a request; the transaction names its route. The rest passes the same redaction as log lines.
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
    """Start reporting errors, in this process and the processes that it forks.

    `traces` is the share of requests and tasks to trace, 0 to 1. Raises sentry_sdk.utils.BadDsn.
    """
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
            LoggingIntegration(),  # log lines become breadcrumbs, error lines become events
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
    # A 5xx response without an exception is a service outage; metrics show those better.
    ignore_logger("instafeed.core.http.request_log")
    ignore_logger("django.security.*")  # refused requests, with client data


def _scrub_event(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    # A log line's parameters: without the text around them, the redaction cannot recognize a secret.
    event.get("logentry", {}).pop("params", None)
    if "request" in event:  # URL, query, cookies and headers (such as Referer) contain personal data
        event["request"] = {"method": event["request"].get("method")}
    context = get_contextvars()
    tags = {name: context[name] for name in CONTEXT_TAGS if context.get(name)}
    return dict(redact({**event, "tags": {**event.get("tags", {}), **tags}}))
