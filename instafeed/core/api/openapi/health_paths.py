"""The OpenAPI paths of the health checks: plain views, which drf-spectacular does not see."""

from __future__ import annotations

from typing import Any

from instafeed.core.jobs.queues import QUEUES

Json = dict[str, Any]

_LATENCY = 0.84  # milliseconds


def _check_schema(description: str, statuses: list[str], **more: Json) -> Json:
    """Return the schema of one part's report. Any report may have `error` and `latency_ms`."""
    return {
        "type": "object",
        "description": description,
        "required": ["status"],
        "properties": {
            "status": {"type": "string", "enum": statuses},
            "latency_ms": {"type": "number", "description": "The duration of the check."},
            "error": {"type": "string", "description": "The failure, if there is one."},
            **more,
        },
    }


_COUNT: Json = {"type": "integer", "minimum": 0}
_MEMORY: Json = {
    "used_memory": _COUNT,
    "max_memory": _COUNT | {"description": "Bytes, as `used_memory`; 0 means no limit."},
}
_LAG: Json = {
    "lag_seconds": {
        "type": ["number", "null"],
        "description": "Age of the oldest change not replayed yet.",
    },
    "lag_bytes": {"type": ["integer", "null"], "description": "WAL not replayed yet."},
}
_DATABASE = _check_schema("The primary.", ["ok", "down"])
_CHECKS: Json = {
    "database": _DATABASE,
    "replica": _check_schema(
        "The replica in the worst state; `off` if there is none.",
        ["ok", "lagging", "down", "off"],
        **_LAG,
        replicas={"type": "object", "description": "Each replica's own report."},
    ),
    "cache": _check_schema("Redis as cache; `full` if it accepts no writes.", ["ok", "full", "down"], **_MEMORY),
    "broker": _check_schema(
        "Redis as broker: the queues' lengths and the number of tasks that workers hold; `full` if it accepts no"
        " tasks, or will soon accept none.",
        ["ok", "full", "down"],
        **_MEMORY,
        queues={"type": "object", "additionalProperties": _COUNT},
        unacked=_COUNT,
    ),
    "workers": _check_schema(
        "Whether each queue has a worker, and whether beat's tasks have run lately.",
        ["ok", "starting", "missing", "down"],
        queues={"type": "object", "additionalProperties": {"type": "boolean"}},
        beat={"type": "boolean"},
    ),
}
_HEALTHY: Json = {
    "status": "ok",
    "checks": {
        "database": {"status": "ok", "latency_ms": _LATENCY},
        "replica": {"status": "ok", "lag_seconds": 0.0, "lag_bytes": 0, "replicas": {}, "latency_ms": _LATENCY},
        "cache": {"status": "ok", "used_memory": 1_572_864, "max_memory": 0, "latency_ms": _LATENCY},
        "broker": {
            "status": "ok",
            "used_memory": 1_572_864,
            "max_memory": 0,
            "queues": dict.fromkeys(QUEUES, 0),
            "unacked": 0,
            "latency_ms": _LATENCY,
        },
        "workers": {"status": "ok", "queues": dict.fromkeys(QUEUES, True), "beat": True, "latency_ms": _LATENCY},
    },
}
_READY: Json = {"status": "ok", "checks": {"database": _HEALTHY["checks"]["database"]}}
_DOWN: Json = {"status": "down", "checks": {"database": {"status": "down", "error": "OperationalError"}}}


def _report_schema(statuses: list[str], checks: Json) -> Json:
    return {
        "type": "object",
        "required": ["status", "checks"] if checks else ["status"],
        "properties": {
            "status": {"type": "string", "enum": statuses},
            **({"checks": {"type": "object", "properties": checks}} if checks else {}),
        },
    }


def _response(description: str, schema: Json, example: Json) -> Json:
    return {
        "description": description,
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}},
        "content": {"application/json": {"schema": schema, "examples": {"Report": {"value": example}}}},
    }


def _get_operation(operation_id: str, summary: str, description: str, responses: Json) -> Json:
    return {
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "description": description,
            "tags": ["operations"],
            "security": [{}],
            "responses": responses,
        }
    }


HEALTH_PATHS: Json = {
    "/health": _get_operation(
        "get_health",
        "The state of every part",
        "`starting` (the workers have just been started) and `degraded` (the site works without that part) are 200.",
        {
            "200": _response("The site works.", _report_schema(["ok", "starting", "degraded"], _CHECKS), _HEALTHY),
            "503": _response("The primary is down.", _report_schema(["down"], _CHECKS), _DOWN),
        },
    ),
    "/health/live": _get_operation(
        "get_liveness",
        "Whether the process answers",
        "Checks no other service.",
        {"200": _response("The process answers.", _report_schema(["ok"], {}), {"status": "ok"})},
    ),
    "/health/ready": _get_operation(
        "get_readiness",
        "Whether to send requests here",
        "Requires the primary.",
        {
            "200": _response("Ready.", _report_schema(["ok"], {"database": _DATABASE}), _READY),
            "503": _response("Not ready.", _report_schema(["down"], {"database": _DATABASE}), _DOWN),
        },
    ),
}
