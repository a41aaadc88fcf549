"""The OpenAPI paths and schemas of the health checks: plain views, which drf-spectacular does not see."""

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
    "lag_bytes": {"type": ["integer", "null"], "description": "Size of the changes not replayed yet."},
}
_SCHEMAS: Json = {
    "DatabaseCheck": _check_schema("The database.", ["ok", "down"]),
    "ReplicaCheck": _check_schema(
        "The copy of the database in the worst state; `off` if there is none.",
        ["ok", "lagging", "down", "off"],
        **_LAG,
        replicas={"type": "object", "description": "Each replica's own report."},
    ),
    "CacheCheck": _check_schema("The cache; `full` if it accepts no writes.", ["ok", "full", "down"], **_MEMORY),
    "QueueCheck": _check_schema(
        "The queues of background tasks: their lengths and the number of tasks that workers hold; `full` if no task"
        " is accepted, or will soon be refused. RabbitMQ reports neither its memory nor `unacked`.",
        ["ok", "full", "down"],
        **_MEMORY,
        queues={"type": "object", "additionalProperties": _COUNT},
        unacked=_COUNT,
    ),
    "WorkersCheck": _check_schema(
        "Whether each queue has a worker, and whether periodic tasks have run lately.",
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


def _report_schema(description: str, statuses: list[str], checks: dict[str, str]) -> Json:
    """Return the schema of a report; `checks` names the schema of each check."""
    references = {name: {"$ref": f"#/components/schemas/{schema}"} for name, schema in checks.items()}
    return {
        "type": "object",
        "description": description,
        "required": ["status", "checks"] if checks else ["status"],
        "properties": {
            "status": {"type": "string", "enum": statuses},
            **({"checks": {"type": "object", "properties": references}} if checks else {}),
        },
    }


_CHECKS = {
    "database": "DatabaseCheck",
    "replica": "ReplicaCheck",
    "cache": "CacheCheck",
    "broker": "QueueCheck",
    "workers": "WorkersCheck",
}
_STATUSES = ["ok", "starting", "degraded", "down"]
HEALTH_SCHEMAS: Json = {
    **_SCHEMAS,
    "HealthReport": _report_schema("The state of every part.", _STATUSES, _CHECKS),
    "LivenessReport": _report_schema("The state of the process.", ["ok"], {}),
    "ReadinessReport": _report_schema(
        "Whether requests can be answered.", ["ok", "down"], {"database": "DatabaseCheck"}
    ),
}


def _response(description: str, schema: str, example: Json) -> Json:
    return {
        "description": description,
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}},
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{schema}"},
                "examples": {"Report": {"value": example}},
            }
        },
    }


def _get_operation(operation_id: str, summary: str, description: str, responses: Json) -> Json:
    return {
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "description": description,
            "tags": ["operations"],
            "security": [],
            "responses": responses,
        }
    }


HEALTH_PATHS: Json = {
    "/health": _get_operation(
        "get_health",
        "The state of every part",
        "`starting` (the workers have just been started) and `degraded` (the site works without that part) are 200.",
        {
            "200": _response("The site works.", "HealthReport", _HEALTHY),
            "503": _response("The database is down.", "HealthReport", _DOWN),
        },
    ),
    "/health/live": _get_operation(
        "get_liveness",
        "Whether the process answers",
        "Checks no other service.",
        {"200": _response("The process answers.", "LivenessReport", {"status": "ok"})},
    ),
    "/health/ready": _get_operation(
        "get_readiness",
        "Whether to send requests here",
        "Requires the database.",
        {
            "200": _response("Ready.", "ReadinessReport", _READY),
            "503": _response("Not ready.", "ReadinessReport", _DOWN),
        },
    ),
}
