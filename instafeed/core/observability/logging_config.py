"""The format of all log lines: ours, Django's, Celery's and gunicorn's.

Each record is one line: JSON with a fixed set of keys (docs/operations.md), or the same fields as plain text. Fields
outside `RECORD_FIELDS` are dropped. All values pass redaction, tracebacks included.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from structlog.contextvars import merge_contextvars
from structlog.processors import format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from instafeed.core.observability.redaction import redact

FORMATS = ("json", "plain")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# The fields that a record may have beside its text, from `extra` or from the context (request_id, task_id, task).
RECORD_FIELDS = ("request_id", "task_id", "task", "method", "route", "status", "outcome", "duration_ms", "user_id")
REQUEST_ERRORS_ATTRIBUTE = "_instafeed_errors"  # collects tracebacks on a request, for its log line
_KEY_ORDER = ("timestamp", "level", "logger", "event", *RECORD_FIELDS, "exception", "stack")


def build_formatter(form: str) -> logging.Formatter:
    """Return a logging formatter; `form` is "json" or "plain"."""
    return _Formatter(
        last=_render_json if form == "json" else _render_plain,
        foreign_pre_chain=[_add_record_fields, merge_contextvars],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            format_exc_info,
            _redact_event,
        ],
    )


class _Formatter(ProcessorFormatter):
    """Reduce a record that cannot be formatted or redacted to its time and origin.

    On an error, logging itself would print the record unredacted.
    """

    def __init__(self, *, last: Processor, processors: list[Processor], foreign_pre_chain: list[Processor]) -> None:
        super().__init__(processors=[*processors, last], foreign_pre_chain=foreign_pre_chain)
        self._last = last

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception:
            return str(self._last(None, "", {**_record_origin(record), "event": "[could not be redacted]"}))


def build_logging_dict(level: str, form: str) -> dict[str, Any]:
    """Return Django's LOGGING. Above DEBUG, Celery's lines for each received, finished or sent task are left out."""
    quiet = {"level": level if level in ("DEBUG", "ERROR", "CRITICAL") else "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "into_one_line": {"()": "instafeed.core.observability.logging_config.DeferToRequestLine"},
            "refusals": {"()": "instafeed.core.observability.logging_config.SummarizeRefusals"},
            "closed": {"()": "instafeed.core.observability.logging_config.OmitClosedConnections"},
        },
        "formatters": {"lines": {"()": "instafeed.core.observability.logging_config.build_formatter", "form": form}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "lines"},
            "refusals": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["refusals"]},
        },
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"handlers": [], "propagate": True, "level": "INFO" if level == "DEBUG" else level},
            "django.security": {"handlers": ["refusals"], "propagate": False},
            "django.request": {"level": "ERROR", "filters": ["into_one_line"]},
            # Its lines of level DEBUG have paths: those of push endpoints are secrets.
            "urllib3": {"level": "INFO" if level == "DEBUG" else level},
            "psycopg.pool": {"filters": ["closed"]},
            "celery.worker.strategy": quiet,
            "celery.app.trace": quiet,
            "celery.beat": quiet,
        },
    }


class DeferToRequestLine(logging.Filter):
    """Filter Django's lines about 5xx responses: keep the traceback for the request's own log line."""

    def filter(self, record: logging.LogRecord) -> bool:
        errors = getattr(getattr(record, "request", None), REQUEST_ERRORS_ATTRIBUTE, None)
        if errors is None or record.levelno < logging.ERROR:
            return True
        errors.append(record.exc_info)
        return False


class SummarizeRefusals(logging.Filter):
    """Reduce Django's lines about refused hosts, origins and parameters to the rule, without the client's data."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args, record.exc_info = f"refused: {record.name.rpartition('.')[2]}", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


class OmitClosedConnections(logging.Filter):
    """Omit the pool's warning about a closed connection: web servers close each that is older than five seconds.

    One that broke in a request is in the log line of that request.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("discarding closed connection")


def _add_record_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event.update(_record_origin(record))
    event.update({name: value for name in RECORD_FIELDS if (value := getattr(record, name, None)) is not None})
    if stack := event.pop("stack_info", None):
        event["stack"] = stack
    return event


def _record_origin(record: logging.LogRecord) -> EventDict:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return {"timestamp": moment, "level": record.levelname.lower(), "logger": record.name}


def _redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    cleaned: EventDict = redact(event)
    return {name: cleaned[name] for name in _KEY_ORDER if cleaned.get(name) not in (None, "")}


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return json.dumps(event, default=lambda value: redact(str(value)), ensure_ascii=False)


def _render_plain(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Render one line. Newlines in the text are escaped; only tracebacks span several lines."""
    head = "{timestamp} {level} {logger}".format_map(event)
    text = str(event.get("event", "")).replace("\r", "\\r").replace("\n", "\\n")
    fields = " ".join(f"{name}={event[name]}" for name in RECORD_FIELDS if name in event)
    traceback = event.get("exception") or event.get("stack")
    return " ".join(filter(None, (head, text, fields))) + (f"\n{traceback}" if traceback else "")
